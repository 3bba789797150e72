/** A real nginx behind the driver `directory`: no request fails in a good switch, nor in an undo. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createServer as createHttpServer, get, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { freePort } from '../../infra/dev/ports.js';
import { findProgram, type Program } from '../../infra/programs/find.js';
import { carryOut, TestSite, until } from '../site/test-site.js';

let site: TestSite;
let nginx: Program;
let server: ChildProcess;
let port: number;

beforeEach(async () => {
  nginx = await findProgram('nginx');
  site = new TestSite();
  port = await freePort();
  mkdirSync(site.path('logs'));
  site.write('live/conf/nginx.conf', configuration('original', 200));
  server = spawn(nginx.path, ['-p', site.root, '-c', site.path('live', 'conf', 'nginx.conf'), '-g', 'daemon off;'], {
    env: { ...process.env, ...nginx.env },
    stdio: 'ignore',
  });
  for (let tries = 0; (await ask('/')).status !== 200; tries++) {
    if (tries > 200) throw new Error('nginx did not come up');
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
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
events { worker_connections 256; }
http {
  access_log off; ${temporary.join(' ')}
  server {
    listen 127.0.0.1:${port};
    location / { return 200 "${name}"; }
    location /health { return ${health} "${name}"; }
  }
}`;
}

function release(version: string) {
  const conf = site.path('live', 'conf');
  const reload = [nginx.path, '-p', site.root, '-c', join(conf, 'nginx.conf'), '-s', 'reload'];
  return {
    stream: 'edge-proxy',
    version,
    driver: { type: 'directory', files: './files', target: conf, reload, timeout: '5s' },
    checks: [
      { name: 'answers', http: `http://127.0.0.1:${port}/health`, every: '100ms', timeout: '500ms', failures: 2 },
    ],
    confirm: { within: '10s', healthyFor: '500ms' },
  };
}

interface Reply {
  status: number;
  body: string;
}
async function ask(path: string): Promise<Reply> {
  return new Promise((resolve) => {
    const call = get({ host: '127.0.0.1', port, path, agent: false, timeout: 2_000 }, (answer) => {
      let body = '';
      answer.on('data', (chunk: Buffer) => (body += chunk.toString('utf8')));
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body }));
      answer.on('error', () => resolve({ status: 0, body }));
    });
    call.on('timeout', () => call.destroy());
    call.on('error', () => resolve({ status: 0, body: '' }));
  });
}

/** Asks without a pause until told to stop; returns every reply. */
function load(): () => Promise<Reply[]> {
  const replies: Reply[] = [];
  let over = false;
  const running = (async () => {
    while (!over) replies.push(await ask('/'));
  })();
  return async () => {
    over = true;
    await running;
    return replies;
  };
}

describe('a site with nginx', () => {
  it('[A3] [A23] switches to a good release with no failed request', async () => {
    const agent = await site.start();
    const good = site.publish(release('1.0.0'), { 'files/nginx.conf': configuration('one', 200) });
    const stop = load();
    expect(await carryOut(agent, site, site.command(good))).toMatchObject({ result: 'confirmed' });
    const replies = await stop();
    expect(replies.filter((reply) => reply.status !== 200)).toEqual([]);
    expect(new Set(replies.map((reply) => reply.body))).toEqual(new Set(['original', 'one']));
  });

  it('[A3] [A32] undoes a release whose health fails, by itself, with no failed request', async () => {
    const agent = await site.start();
    const bad = site.publish(release('2.0.0'), { 'files/nginx.conf': configuration('two', 503) });
    const stop = load();
    const result = await carryOut(agent, site, site.command(bad));
    expect(result).toMatchObject({ result: 'reverted', cause: 'check', reason: { code: 'CHECK_FAILED' } });
    await until(() => readFileSync(site.path('live', 'conf', 'nginx.conf'), 'utf8').includes('original'));
    // `nginx -s reload` returns once the master was told; its new workers follow some milliseconds later.
    await new Promise((resolve) => setTimeout(resolve, 300));
    for (let good = 0; good < 8; good++) expect(await ask('/health')).toEqual({ status: 200, body: 'original' });
    const replies = await stop();
    expect(replies.filter((reply) => reply.status !== 200)).toEqual([]);
    expect(replies.some((reply) => reply.body === 'two')).toBe(true);
  });

  it('[A32] undoes a configuration that nginx itself refuses', async () => {
    const agent = await site.start();
    const broken = site.publish(release('3.0.0'), { 'files/nginx.conf': 'nonsense;' });
    const result = await carryOut(agent, site, site.command(broken));
    expect(result).toMatchObject({ result: 'reverted', cause: 'switch', reason: { code: 'SWITCH_FAILED' } });
    expect(result.reason?.detail).toContain('nonsense');
    expect(await ask('/health')).toEqual({ status: 200, body: 'original' });
  });
});

describe('a depot over HTTP', () => {
  let depot: Server;
  afterEach(() => {
    depot.close();
    depot.closeAllConnections();
  });

  it('is resumed where a transfer was cut, and the whole is verified', async () => {
    const ranges: (string | undefined)[] = [];
    const text = `${configuration('one', 200)}\n${`#${'x'.repeat(98)}\n`.repeat(2_000)}`;
    depot = createHttpServer((request, response) => {
      const path = join(site.depot, decodeURIComponent(request.url ?? '/'));
      // The agent asks for keys as well, of which this depot has none.
      if (!existsSync(path)) return void response.writeHead(404).end();
      const bytes = readFileSync(path);
      if (!request.url?.startsWith('/blobs/')) return void response.end(bytes);
      const { range } = request.headers;
      ranges.push(range);
      const from = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0);
      const headers = { 'content-length': bytes.length - from };
      response.writeHead(range === undefined ? 200 : 206, headers);
      if (ranges.length > 2) return void response.end(bytes.subarray(from));
      response.write(bytes.subarray(from, from + 60_000), () => setTimeout(() => response.destroy(), 50));
    }).listen(0, '127.0.0.1');
    await once(depot, 'listening');
    const agent = await site.start({ depot: `http://127.0.0.1:${(depot.address() as AddressInfo).port}` });
    const good = site.publish(release('1.0.0'), { 'files/nginx.conf': text });
    expect(await carryOut(agent, site, site.command(good))).toMatchObject({ result: 'confirmed' });
    expect(ranges).toHaveLength(3);
    expect(ranges[1]).toMatch(/^bytes=[1-9]\d*-$/);
  });
});
