/** A file that more than one release has: fetched once however many streams want it, and believed only by its digest. */
import { createServer, type Server } from 'node:http';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sha256Hex } from '../../policies/signing/jcs.js';
import { Blobs } from '../../site/files/blobs.js';
import { carryOut, directoryRelease, TestSite, until } from './test-site.js';

let site: TestSite;
let server: Server | undefined;
/** Ranges in which the file was asked for. */
let asked: (string | undefined)[];

beforeEach(() => {
  site = new TestSite();
  asked = [];
  site.write('live/conf/page', 'healthy original');
  site.write('live/two/page', 'healthy original');
});
afterEach(async () => {
  server?.closeAllConnections();
  await new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)));
  server = undefined;
  await site.clear();
});

/** Everything at once but this file, which comes in pieces. */
async function dripping(text: string): Promise<string> {
  server = createServer((request, response) => {
    const path = join(site.depot, request.url ?? '');
    if (!existsSync(path)) return void response.writeHead(404).end();
    const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const body = readFileSync(path).subarray(from);
    response.writeHead(from > 0 ? 206 : 200, { 'content-length': body.length });
    if (!path.includes(sha256Hex(text))) return void response.end(body);
    asked.push(request.headers.range);
    let at = 0;
    const timer = setInterval(() => {
      response.write(body.subarray(at, (at += 65_536)));
      if (at >= body.length) response.end();
    }, 20);
    response.on('close', () => clearInterval(timer));
  });
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

const TEXT = 'the certificates of everybody\n'.repeat(50_000);

function publishTo(stream: string, target: string) {
  const page = site.path('live', target, 'page');
  const release = {
    ...directoryRelease(site, '1.0.0'),
    stream,
    driver: { type: 'directory', files: './files', target: site.path('live', target) },
    checks: [{ name: 'ok', exec: ['grep', '-q', 'healthy', page], every: '50ms', failures: 2 }],
  };
  return site.publish(release, { 'files/page': `healthy ${stream}`, 'files/certificates': TEXT });
}

describe('[A24] a file that two streams share', () => {
  it.each([0, 100, 400])('is fetched once though both want it, %i ms apart, and both are confirmed', async (apart) => {
    const releases = [publishTo('edge-proxy', 'conf'), publishTo('other', 'two')] as const;
    const agent = await site.start({ depot: await dripping(TEXT) });
    const first = carryOut(agent, site, site.command(releases[0]));
    await sleep(apart);
    const second = carryOut(agent, site, site.command(releases[1]));
    expect((await Promise.all([first, second])).map(({ result, reason }) => ({ result, reason }))).toEqual([
      { result: 'confirmed' },
      { result: 'confirmed' },
    ]);
    expect(asked).toEqual([undefined]);
    expect(readFileSync(site.path('live', 'two', 'certificates'), 'utf8')).toBe(TEXT);
  });

  it('is fetched on by the second stream from where the first gave it up', async () => {
    const releases = [publishTo('edge-proxy', 'conf'), publishTo('other', 'two')] as const;
    const agent = await site.start({ depot: await dripping(TEXT) });
    const part = join(site.data, 'incoming', `${sha256Hex(TEXT)}.part`);
    const first = carryOut(agent, site, site.command(releases[0]));
    await until(() => (statSync(part, { throwIfNoEntry: false })?.size ?? 0) > 0);
    const second = carryOut(agent, site, site.command(releases[1]));
    const newer = site.command(releases[0], { verb: 'revert', generation: 9 });
    expect(await carryOut(agent, site, newer)).toMatchObject({ result: 'reverted' });
    expect(await first).toMatchObject({ result: 'superseded' });
    expect(await second).toMatchObject({ result: 'confirmed' });
    expect(asked).toEqual([undefined, expect.stringMatching(/^bytes=[1-9]\d*-$/)]);
  });
});

describe('[A18] a file that rotted since it was kept', () => {
  it('is fetched again by the next release that has it', async () => {
    const agent = await site.start();
    const files = { 'files/page': 'healthy 1', 'files/certificates': TEXT };
    const one = site.publish(directoryRelease(site, '1.0.0'), files);
    expect(await carryOut(agent, site, site.command(one))).toMatchObject({ result: 'confirmed' });
    const kept = new Blobs(join(site.data, 'blobs'));
    const digest = `sha256:${sha256Hex(TEXT)}`;
    writeFileSync(kept.path(digest), `T${TEXT.slice(1)}`);
    expect([await kept.has(digest), await kept.whole(digest)]).toEqual([true, false]);
    const two = site.publish(directoryRelease(site, '2.0.0'), { ...files, 'files/page': 'healthy 2' });
    expect(await carryOut(agent, site, site.command(two, { generation: 3 }))).toMatchObject({ result: 'confirmed' });
    expect(await kept.whole(digest)).toBe(true);
    expect(readFileSync(site.path('live', 'conf', 'certificates'), 'utf8')).toBe(TEXT);
  });
});
