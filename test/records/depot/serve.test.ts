import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { blobPath, manifestPath } from '../../../policies/model/depot.js';
import { judgeRange } from '../../../records/depot/judge-range.js';
import { publishRelease } from '../../../records/depot/publish.js';
import { routeOf } from '../../../records/depot/routes.js';
import { serveDepot, type DepotServer } from '../../../records/depot/serve.js';
import type { Served } from '../../../records/depot/answer-request.js';
import { sha256Hex } from '../../../policies/signing/jcs.js';
import { afterwards, FILES, refusal, releaseDirectory, scratch } from './scratch.js';

const LOGO = Buffer.from(FILES['files/logo.bin'] ?? '');
const LOGO_DIGEST = `sha256:${sha256Hex(LOGO)}`;

async function served(): Promise<{ server: DepotServer; depot: string; digest: string; log: Served[] }> {
  const depot = await scratch();
  const { ref } = await publishRelease(await releaseDirectory(), depot);
  const log: Served[] = [];
  const server = await serveDepot(depot, { host: '127.0.0.1', port: 0, onServed: (one) => log.push(one) });
  afterwards(() => server.close());
  return { server, depot, digest: ref.digest, log };
}

interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: Buffer;
}

/** A request whose path is sent as it is: neither `..` nor escapes are tidied up on the way. */
async function ask(
  server: DepotServer,
  path: string,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port: server.port, path, method, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
      );
    });
    sent.on('error', reject);
    sent.end();
  });
}

describe('judging a range', () => {
  test.each<[string | undefined, number, unknown]>([
    [undefined, 10, undefined],
    ['bytes=0-', 10, { start: 0, end: 9 }],
    ['bytes=3-', 10, { start: 3, end: 9 }],
    ['bytes=3-5', 10, { start: 3, end: 5 }],
    ['bytes=9-9', 10, { start: 9, end: 9 }],
    ['bytes=3-99', 10, { start: 3, end: 9 }],
    ['bytes=-4', 10, { start: 6, end: 9 }],
    ['bytes=-99', 10, { start: 0, end: 9 }],
    ['bytes=10-', 10, 'unsatisfiable'],
    ['bytes=10-20', 10, 'unsatisfiable'],
    ['bytes=-0', 10, 'unsatisfiable'],
    ['bytes=0-', 0, 'unsatisfiable'],
    // a server may pass over what it does not do or does not understand
    ['bytes=5-3', 10, undefined],
    ['bytes=0-1,3-4', 10, undefined],
    ['bytes=-', 10, undefined],
    ['bytes=a-b', 10, undefined],
    ['lines=0-1', 10, undefined],
    ['bytes=0-99999999999999999999', 10, undefined],
  ])('%s of %i bytes', (header, size, expected) => {
    expect(judgeRange(header, size)).toEqual(expected);
  });
});

describe('[A22] a depot over HTTP', () => {
  test('gives blob, manifest, entry and listing, each with its digest and for ever where it never changes', async () => {
    const { server, digest } = await served();
    const blob = await ask(server, `/${blobPath(LOGO_DIGEST)}`);
    expect(blob.status).toBe(200);
    expect(blob.body.equals(LOGO)).toBe(true);
    expect(blob.headers).toMatchObject({
      etag: `"${LOGO_DIGEST}"`,
      'content-length': '3000',
      'accept-ranges': 'bytes',
      'content-type': 'application/octet-stream',
      'cache-control': expect.stringContaining('immutable') as unknown,
    });
    const manifest = await ask(server, `/${manifestPath(digest)}`);
    expect(`sha256:${sha256Hex(manifest.body)}`).toBe(digest);
    expect(manifest.headers['etag']).toBe(`"${digest}"`);
    const entry = await ask(server, '/releases/edge-proxy/2.4.0.json');
    expect(JSON.parse(entry.body.toString())).toMatchObject({ digest });
    expect(entry.headers['etag']).toBe(`"sha256:${sha256Hex(entry.body)}"`);
    const listing = await ask(server, '/releases/edge-proxy/index.json?x=1');
    expect(JSON.parse(listing.body.toString())).toEqual({ names: ['2.4.0'] });
    expect(listing.headers['cache-control']).toBe('no-cache');
    expect((await ask(server, '/healthz')).body.toString()).toBe('ok\n');
  });

  test('HEAD says what GET would send, without sending it', async () => {
    const { server } = await served();
    const head = await ask(server, `/${blobPath(LOGO_DIGEST)}`, { range: 'bytes=0-1' }, 'HEAD');
    expect([head.status, head.headers['content-length'], head.body.length]).toEqual([200, '3000', 0]);
    expect((await ask(server, '/nothing', {}, 'HEAD')).status).toBe(404);
  });

  test('an interrupted transfer goes on where it ended', async () => {
    const { server } = await served();
    const path = `/${blobPath(LOGO_DIGEST)}`;
    const head = await ask(server, path, { range: 'bytes=0-999' });
    const tail = await ask(server, path, { range: 'bytes=1000-' });
    expect([head.status, tail.status]).toEqual([206, 206]);
    expect([head.headers['content-range'], tail.headers['content-range']]).toEqual([
      'bytes 0-999/3000',
      'bytes 1000-2999/3000',
    ]);
    expect(Buffer.concat([head.body, tail.body]).equals(LOGO)).toBe(true);
  });

  test('a range beyond the end, several ranges, and a range of something else', async () => {
    const { server } = await served();
    const path = `/${blobPath(LOGO_DIGEST)}`;
    const beyond = await ask(server, path, { range: 'bytes=3000-' });
    expect([beyond.status, beyond.headers['content-range']]).toEqual([416, 'bytes */3000']);
    expect((await ask(server, path, { range: 'bytes=0-1,5-6' })).body.length).toBe(3000);
    expect((await ask(server, path, { range: 'bytes=0-1', 'if-range': '"other"' })).status).toBe(200);
    expect((await ask(server, path, { range: 'bytes=0-1', 'if-range': `"${LOGO_DIGEST}"` })).status).toBe(206);
    expect((await ask(server, path, { 'if-none-match': `W/"x", "${LOGO_DIGEST}"` })).status).toBe(304);
  });

  test('counts requests and bytes', async () => {
    const { server, log } = await served();
    // An answer is counted once it is sent whole, which a client may notice first.
    await ask(server, `/${blobPath(LOGO_DIGEST)}`, { range: 'bytes=0-99' });
    await vi.waitFor(() => expect(log).toHaveLength(1));
    await ask(server, '/healthz');
    await vi.waitFor(() => expect(log).toHaveLength(2));
    expect(server.counted()).toEqual({ requests: 2, bytes: 103 });
    expect(log).toEqual([
      { method: 'GET', path: `/${blobPath(LOGO_DIGEST)}`, status: 206, bytes: 100 },
      { method: 'GET', path: '/healthz', status: 200, bytes: 3 },
    ]);
  });

  test('only reads', async () => {
    const { server } = await served();
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
      const answer = await ask(server, `/${blobPath(LOGO_DIGEST)}`, {}, method);
      expect([answer.status, answer.headers['allow']]).toEqual([405, 'GET, HEAD']);
    }
  });
});

describe('no way out of the directory', () => {
  const outside = [
    '/../secret',
    '/blobs/../../secret',
    '/blobs/..%2f..%2fsecret',
    '/%2e%2e/secret',
    '/releases/../../secret.json',
    '/releases/edge-proxy/../../../secret.json',
    '/releases/edge-proxy/..%2f..%2f..%2fsecret.json',
    '/releases/%2e%2e/secret.json',
    '/releases/edge-proxy/1%2f..%2f..%2f..%2fsecret.json',
    '/releases/edge-proxy/%E0%A4%A.json',
    '/releases/edge-proxy/2%00.json',
    '//secret',
    '/\\..\\secret',
    'http://other/secret',
    '*',
    '/blobs/',
    '/',
    '/releases/',
    '/releases/edge-proxy/',
    '/blobs/x',
    `/blobs/${'A'.repeat(64)}`,
    `/manifests/${'a'.repeat(64)}`,
    `/blobs/${'a'.repeat(64)}/`,
    '/tmp/x',
  ];
  test.each(outside)('%s is no route', (path) => {
    expect(routeOf(path)).toBeUndefined();
  });

  test('they are answered 404 in JSON, without a listing', async () => {
    const { server, depot } = await served();
    await writeFile(join(depot, '..', 'secret'), 'secret').catch(() => undefined);
    for (const path of outside.filter((one) => one.startsWith('/'))) {
      const answer = await ask(server, path);
      expect([path, answer.status]).toEqual([path, 404]);
      expect(JSON.parse(answer.body.toString())).toMatchObject({ error: { status: 404 } });
    }
  });

  test('a link in the directory is not followed, and a directory is no object', async () => {
    const { server, depot } = await served();
    const [linked, made] = [`sha256:${'a'.repeat(64)}`, `sha256:${'b'.repeat(64)}`];
    await symlink('/etc/hostname', join(depot, blobPath(linked)));
    await mkdir(join(depot, blobPath(made)));
    expect((await ask(server, `/${blobPath(linked)}`)).status).toBe(404);
    expect((await ask(server, `/${blobPath(made)}`)).status).toBe(404);
  });

  test('a version with a build is found in either spelling', () => {
    const expected = { kind: 'entry', path: 'releases/edge-proxy/1.0.0%2B7.json' };
    expect(routeOf('/releases/edge-proxy/1.0.0%2B7.json')).toEqual(expected);
    expect(routeOf('/releases/edge-proxy/1.0.0+7.json')).toEqual(expected);
  });
});

describe('the server', () => {
  test('a client that reads nothing and one that hangs up do not keep others waiting, nor the end', async () => {
    const { server, depot } = await served();
    const big = `sha256:${'c'.repeat(64)}`;
    await writeFile(join(depot, blobPath(big)), Buffer.alloc(32 * 1024 * 1024));
    const opened = Array.from({ length: 5 }, () => connect(server.port, '127.0.0.1'));
    for (const socket of opened) {
      socket.on('error', () => undefined);
      socket.pause();
      socket.write(`GET /${blobPath(big)} HTTP/1.1\r\nhost: x\r\n\r\n`);
    }
    const gone = connect(server.port, '127.0.0.1');
    gone.on('error', () => undefined);
    gone.write(`GET /${blobPath(big)} HTTP/1.1\r\nhost: x\r\n\r\n`);
    gone.once('data', () => gone.destroy());
    expect((await ask(server, '/healthz')).status).toBe(200);
    expect((await ask(server, `/${blobPath(LOGO_DIGEST)}`)).body.length).toBe(3000);
    const began = performance.now();
    await server.close();
    expect(performance.now() - began).toBeLessThan(4_000);
    for (const socket of opened) socket.destroy();
  });

  test('says which address is taken, and that there is no such directory', async () => {
    const { server, depot } = await served();
    const again = (): Promise<unknown> => serveDepot(depot, { host: '127.0.0.1', port: server.port });
    expect(await refusal(again)).toMatch(/^World PORT_IN_USE: .*127\.0\.0\.1:\d+: another process listens there/);
    const nowhere = (): Promise<unknown> => serveDepot(join(depot, 'x'), { host: '127.0.0.1', port: 0 });
    expect(await refusal(nowhere)).toMatch(/^Mistake FILE_NOT_FOUND/);
  });
});
