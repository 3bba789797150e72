/** The example releases on a real nginx under load: what a switch costs, and what each bad release does. */
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import mustache from 'mustache';
import { parse } from 'yaml';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LoadGenerator } from '../../infra/dev/load/generator.js';
import { nginxPaths, startNginx } from '../../infra/dev/nginx.js';
import { freePort } from '../../infra/dev/ports.js';
import { run } from '../../infra/dev/run.js';

const RELEASES = fileURLToPath(new URL('../../examples/releases', import.meta.url));

let directory: string;
let site: TestSite;
const toStop: (() => Promise<void> | void)[] = [];
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'foothold-reload-'));
  site = await startSite(directory);
  toStop.push(site.stop);
});
afterEach(async () => {
  for (const stop of toStop.splice(0).reverse()) await stop();
  rmSync(directory, { recursive: true, force: true });
});

interface TestSite {
  url: string;
  load: LoadGenerator;
  /** Renders a release, points `live` at it and runs its own reload command. */
  switchTo: (version: string) => Promise<void>;
  stop: () => Promise<void>;
}

async function startSite(prefix: string): Promise<TestSite> {
  const listen = `127.0.0.1:${await freePort()}`;
  const { program } = await nginxPaths(prefix);
  const view = { listen, prefix, nginx: program, workers: 2, feeder: 'north', site: { id: 'osl-01', data: prefix } };
  const rendered = (text: string): string => mustache.render(text, view, {}, { escape: String });

  const point = (version: string): void => {
    const out = join(prefix, version);
    mkdirSync(out, { recursive: true });
    const files = join(RELEASES, `edge-proxy-${version}`, 'files');
    for (const file of readdirSync(files))
      writeFileSync(join(out, file), rendered(readFileSync(join(files, file), 'utf8')));
    symlinkSync(out, join(prefix, 'live.new'));
    renameSync(join(prefix, 'live.new'), join(prefix, 'live'));
  };
  point('2.3.0');
  const url = `http://${listen}/`;
  const nginx = await startNginx({ prefix, live: join(prefix, 'live'), ready: `${url}health` });
  const load = new LoadGenerator({ sites: [{ id: 'osl-01', url }], rate: 200, timeout: 1_000 });
  load.start();
  return {
    url,
    load,
    switchTo: async (version) => {
      point(version);
      const release = parse(readFileSync(join(RELEASES, `edge-proxy-${version}`, 'release.yaml'), 'utf8')) as {
        driver?: { reload: string[] };
        components?: { driver: { reload?: string[] } }[];
      };
      const argv =
        release.driver?.reload ?? release.components?.find(({ driver }) => driver.reload)?.driver.reload ?? [];
      const [path = '', ...args] = argv.map(rendered);
      expect(await run(path, args)).toMatchObject({ code: 0 });
    },
    stop: async () => {
      load.stop();
      await nginx.stop();
    },
  };
}

const body = async (url: string): Promise<string> => (await fetch(url, { headers: { connection: 'close' } })).text();

describe('the example configuration', () => {
  it('loses no request in twenty switches under 200 requests a second', async () => {
    await sleep(300);
    const from = Date.now();
    for (let round = 0; round < 10; round += 1) {
      await site.switchTo('2.4.0');
      await expect.poll(() => body(site.url), { interval: 10 }).toContain('edge-proxy 2.4.0 at osl-01, feeder north');
      await site.switchTo('2.3.0');
      await expect.poll(() => body(site.url), { interval: 10 }).toContain('edge-proxy 2.3.0');
    }
    await sleep(300);
    const count = site.load.count('osl-01', from, Date.now());
    expect(count.requests).toBeGreaterThan(200);
    expect(count.codes).toEqual({ '200': count.requests });
  });

  it('2.5.0 fails about six requests in a hundred and no health check', async () => {
    await site.switchTo('2.5.0');
    await expect.poll(() => body(site.url)).toContain('2.5.0');
    await sleep(300);
    const from = Date.now();
    const healthy = new Set<number>();
    while (Date.now() < from + 3_000) healthy.add((await fetch(`${site.url}health`)).status);
    const { requests, failed, codes } = site.load.count('osl-01', from, Date.now());
    expect([...healthy]).toEqual([200]);
    expect(Object.keys(codes).sort()).toEqual(['200', '503']);
    expect(failed / requests).toBeGreaterThan(0.02);
    expect(failed / requests).toBeLessThan(0.12);
  });

  it('2.6.0 answers every request and the health check with 500, and 2.4.0 mends it', async () => {
    const from = Date.now();
    await site.switchTo('2.6.0');
    await expect.poll(async () => (await fetch(`${site.url}health`)).status).toBe(500);
    await sleep(200);
    await site.switchTo('2.4.0');
    await expect.poll(() => site.load.outage('osl-01', from)?.restoredMs, { timeout: 5_000 }).toBeDefined();
    expect(Object.keys(site.load.count('osl-01', from, Date.now()).codes).sort()).toEqual(['200', '500']);
  });
});

describe('the legacy controller of 2.6.0', () => {
  it('loads, checks, dumps and restores, each as often as one likes', async () => {
    const release = join(directory, 'release');
    cpSync(join(RELEASES, 'edge-proxy-2.6.0', 'relay'), release, { recursive: true });
    const controller = join(directory, 'controller');
    mkdirSync(controller);
    writeFileSync(join(controller, 'memory'), 'overcurrent=600A\n');
    const saved = join(directory, 'saved');
    const ctl = async (command: string): Promise<number> => {
      const { code } = await run('./ctl', [command, controller], { cwd: release, env: { FOOTHOLD_SAVED: saved } });
      return code;
    };
    const twice = async (command: string): Promise<number[]> => [await ctl(command), await ctl(command)];

    expect(await twice('dump')).toEqual([0, 0]);
    expect(await ctl('check')).not.toBe(0);
    expect(await twice('load')).toEqual([0, 0]);
    expect(await twice('check')).toEqual([0, 0]);
    expect(await twice('restore')).toEqual([0, 0]);
    expect(await ctl('check')).not.toBe(0);
    expect(readFileSync(join(controller, 'memory'), 'utf8')).toBe('overcurrent=600A\n');
    expect(await ctl('explode')).toBe(2);
  });
});
