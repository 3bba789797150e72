/**
 * `kill -9` of the agent at every step of a change, with a real nginx behind it: nginx serves all the while, the old pages
 * or the new ones, and the agent that is started again brings it to one of the two.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { freePort } from '../../infra/dev/ports.js';
import { findProgram, type Program } from '../../infra/programs/find.js';
import type { Settled } from '../../policies/model/command.js';
import type { SiteEvent } from '../../policies/model/report.js';
import { judgeSiteEvents } from '../../policies/signing/chain.js';
import { signKeyset } from '../../policies/signing/keyset.js';
import { TestSite } from '../site/test-site.js';
import { buildRooms, dropRooms, runAgent, stepsOfSite } from './site-process.js';

let out: string;
let nginx: Program;
let site: TestSite;
let server: ChildProcess;
let port: number;

beforeAll(async () => {
  out = buildRooms();
  nginx = await findProgram('nginx');
});
afterAll(() => dropRooms(out));
beforeEach(async () => {
  site = new TestSite();
  port = await freePort();
  mkdirSync(site.path('logs'));
  site.write('live/conf/nginx.conf', configuration('original', 200));
  const args = ['-p', site.root, '-c', site.path('live', 'conf', 'nginx.conf'), '-g', 'daemon off;'];
  server = spawn(nginx.path, args, { env: { ...process.env, ...nginx.env }, stdio: 'ignore' });
  await serves((body) => body === 'original');
});
afterEach(async () => {
  server.kill('SIGQUIT');
  await once(server, 'exit');
  await site.clear();
});

function configuration(name: string, health: number): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((one) => `${one}_temp_path logs/${one};`);
  return `
worker_processes 1; pid logs/nginx.pid; error_log logs/error.log;
events { worker_connections 64; }
http {
  access_log off; ${temporary.join(' ')}
  server {
    listen 127.0.0.1:${port};
    location / { return 200 "${name}"; }
    location /health { return ${health} "${name}"; }
  }
}`;
}

async function served(): Promise<string> {
  return new Promise((resolve) => {
    const call = get({ host: '127.0.0.1', port, path: '/', agent: false, timeout: 2_000 }, (answer) => {
      let body = '';
      answer.on('data', (chunk: Buffer) => (body += chunk.toString('utf8')));
      answer.on('end', () => resolve(body));
      answer.on('error', () => resolve('cut short'));
    });
    call.on('timeout', () => call.destroy());
    call.on('error', () => resolve('nothing'));
  });
}

/** New workers follow a reload some milliseconds later. */
async function serves(wanted: (body: string) => boolean): Promise<void> {
  const end = Date.now() + 10_000;
  for (let body = await served(); !wanted(body); body = await served()) {
    if (Date.now() > end) throw new Error(`nginx serves ${body}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

function release() {
  const conf = site.path('live', 'conf');
  const reload = [nginx.path, '-p', site.root, '-c', join(conf, 'nginx.conf'), '-s', 'reload'];
  return {
    stream: 'edge-proxy',
    version: '1.0.0',
    driver: { type: 'directory', files: './files', target: conf, reload, timeout: '5s' },
    before: { exec: ['true'] },
    after: { exec: ['true'] },
    checks: [{ name: 'answers', http: `http://127.0.0.1:${port}/health`, every: '100ms', timeout: '1s', failures: 2 }],
    confirm: { within: '20s', healthyFor: '300ms' },
  };
}

const undo = new Set(['reverting', 'reverted-one', 'reverted-all', 'reverted']);

it.each(stepsOfSite().map((step) => [step, undo.has(step) ? 503 : 200] as const))(
  '[A12] [A32] H2: killed at %s, behind a release that answers %i, it ends confirmed or reverted, once, and nginx never stops',
  async (step, health) => {
    const one = site.publish(release(), { 'files/nginx.conf': configuration('new', health) });
    const keyset = signKeyset(1, [site.publicPem], [site.privatePem], Date.now());
    const command = site.command(one, { keyset, switchBy: Date.now() + 60_000 });
    const { data: dataDirectory, depot, publicPem } = site;
    const options = {
      ...{ site: site.site, dataDirectory, depot, controlKeysPem: [publicPem] },
      ...{ envelope: site.sign(command), commandId: command.id },
    };
    const killed = await runAgent(out, { ...options, killAt: { step, nth: 1 } });
    expect(killed.signal).toBe('SIGKILL');
    expect(['original', 'new']).toContain(await served());

    const { printed } = await runAgent(out, options);
    const { settled, events } = JSON.parse(printed) as { settled: Settled; events: SiteEvent[] };
    if (settled.kind !== 'result') throw new Error(`unsettled: ${settled.state}`);
    const { result } = settled.result;
    expect(health === 503 ? ['reverted'] : ['confirmed', 'reverted']).toContain(result);
    await serves((body) => body === (result === 'confirmed' ? 'new' : 'original'));
    expect(events.filter((event) => event.result !== undefined)).toHaveLength(1);
    expect(judgeSiteEvents(events)).toEqual({ ok: true });
    expect(server.exitCode).toBeNull();
  },
);
