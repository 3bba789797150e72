import { readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { blobPath, manifestPath, releasePath } from '../../../policies/model/depot.js';
import type { ReleaseRef } from '../../../policies/model/release.js';
import { canonicalJson, sha256Hex } from '../../../policies/signing/jcs.js';
import { openDepot, type Depot } from '../../../records/depot/open-depot.js';
import { publishRelease } from '../../../records/depot/publish.js';
import { serveDepot } from '../../../records/depot/serve.js';
import { afterwards, FILES, refusal, releaseDirectory, scratch } from './scratch.js';

interface Case {
  directory: string;
  ref: ReleaseRef;
  depot: Depot;
}

/** The same depot read from its directory and over HTTP: both have to say the same. */
const ways: [string, () => Promise<Case>][] = [
  [
    'a directory',
    async () => {
      const { directory, ref } = await published();
      return { directory, ref, depot: openDepot(directory) };
    },
  ],
  [
    'HTTP',
    async () => {
      const { directory, ref } = await published();
      const server = await serveDepot(directory, { host: '127.0.0.1', port: 0 });
      afterwards(() => server.close());
      return { directory, ref, depot: openDepot(server.url) };
    },
  ],
];

async function published(): Promise<{ directory: string; ref: ReleaseRef }> {
  const directory = await scratch();
  const { ref } = await publishRelease(await releaseDirectory(), directory);
  await publishRelease(await releaseDirectory({ version: '2.3.0' }), directory);
  return { directory, ref };
}

async function listenWith(answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  afterwards(async () => {
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

describe.each(ways)('reading a depot from %s', (_way, make) => {
  test('[A20] a release is what was published, and its templates are readable', async () => {
    const { depot, ref } = await make();
    const read = await depot.release('edge-proxy', '2.4.0');
    expect(read.ref).toEqual(ref);
    expect(read.manifest.files.map((file) => file.path)).toEqual(Object.keys(FILES).sort());
    expect(read.release.components[0]).toMatchObject({ name: 'main', driver: { timeout: 30_000 } });
    expect(await depot.templateTexts(read)).toEqual([{ path: 'files/nginx.conf', text: FILES['files/nginx.conf'] }]);
    expect(await depot.versions('edge-proxy')).toEqual(['2.3.0', '2.4.0']);
  });

  test('an unknown version or stream is the caller’s mistake, and what there is is named', async () => {
    const { depot } = await make();
    const version = await refusal(() => depot.release('edge-proxy', '2.4.1'));
    expect(version).toMatch(
      /^Mistake RELEASE_NOT_FOUND: .*it has the versions 2\.3\.0, 2\.4\.0\. Did you mean 2\.[34]\.0\?/,
    );
    const stream = await refusal(() => depot.release('edge-proxi', '2.4.0'));
    expect(stream).toMatch(/^Mistake RELEASE_NOT_FOUND: .*it has the streams edge-proxy\. Did you mean edge-proxy\?/);
  });

  test('a listing that is missing or damaged only leaves less to say', async () => {
    const { depot, directory } = await make();
    await writeFile(join(directory, 'releases/edge-proxy/index.json'), '<html>');
    await rm(join(directory, 'releases/_streams.json'));
    expect(await refusal(() => depot.release('edge-proxy', '9.9.9'))).toMatch(
      /RELEASE_NOT_FOUND: .*it is not there\.$/,
    );
  });

  test('a manifest that was changed is not believed', async () => {
    const { depot, directory, ref } = await make();
    const path = join(directory, manifestPath(ref.digest));
    await writeFile(path, (await readFile(path, 'utf8')).replace('/health', '/nothin'));
    const words = await refusal(() => depot.release('edge-proxy', '2.4.0'));
    expect(words).toMatch(/^World DIGEST_MISMATCH: /);
    expect(words).toContain(ref.digest);
  });

  test('a template that was damaged or cut short is not believed', async () => {
    const { depot, directory } = await make();
    const read = await depot.release('edge-proxy', '2.4.0');
    const template = read.manifest.files.find((file) => file.path === 'files/nginx.conf');
    const path = join(directory, blobPath(template?.digest ?? ''));
    await truncate(path, 20);
    expect(await refusal(() => depot.templateTexts(read))).toMatch(/^World DIGEST_MISMATCH: .*\(20 bytes\)/);
    await rm(path);
    expect(await refusal(() => depot.templateTexts(read))).toMatch(
      /^World DEPOT_UNREACHABLE: .*missing; publish again/,
    );
  });

  test('a missing manifest and an entry that is none are the world’s fault', async () => {
    const { depot, directory, ref } = await make();
    await rm(join(directory, manifestPath(ref.digest)));
    expect(await refusal(() => depot.release('edge-proxy', '2.4.0'))).toMatch(/^World DEPOT_UNREACHABLE: .*is missing/);
    const entry = join(directory, releasePath('edge-proxy', '2.4.0'));
    for (const bytes of [
      '',
      '<!doctype html><title>Sign in',
      '{}',
      '{"stream":"edge-proxy","version":"2.4.0","digest":"sha256:x"}',
    ]) {
      await writeFile(entry, bytes);
      expect(await refusal(() => depot.release('edge-proxy', '2.4.0'))).toMatch(
        /^World DEPOT_UNREACHABLE: expected \{stream/,
      );
    }
  });

  test('the entry of another release under this name is not believed', async () => {
    const { depot, directory, ref } = await make();
    const entry = join(directory, releasePath('edge-proxy', '2.4.0'));
    await writeFile(entry, canonicalJson({ ...ref, version: '2.3.0' }));
    expect(await refusal(() => depot.release('edge-proxy', '2.4.0'))).toMatch(/^World DIGEST_MISMATCH: .*2\.3\.0/);
    const other = await depot.release('edge-proxy', '2.3.0');
    await writeFile(entry, canonicalJson({ ...ref, digest: other.ref.digest }));
    expect(await refusal(() => depot.release('edge-proxy', '2.4.0'))).toMatch(/^Mistake RELEASE_INVALID: .*@2\.3\.0/);
  });

  test('a manifest of another form, with the right digest, is refused', async () => {
    const { depot, directory, ref } = await make();
    const planted = [
      { format: 'foothold.release/v2', release: {}, files: [] },
      { format: 'foothold.release/v1', release: {}, files: [] },
      [],
    ];
    for (const body of planted.map(canonicalJson)) {
      const digest = `sha256:${sha256Hex(body)}`;
      await writeFile(join(directory, manifestPath(digest)), body);
      await writeFile(join(directory, releasePath('edge-proxy', '2.4.0')), canonicalJson({ ...ref, digest }));
      expect(await refusal(() => depot.release('edge-proxy', '2.4.0'))).toMatch(/^Mistake RELEASE_INVALID/);
    }
  });
});

test('a version with a build is published and found', async () => {
  const directory = await scratch();
  await publishRelease(await releaseDirectory({ version: '1.0.0-rc.1+build.7' }), directory);
  const server = await serveDepot(directory, { host: '127.0.0.1', port: 0 });
  afterwards(() => server.close());
  for (const location of [directory, pathToFileURL(directory).href, server.url, server.url.slice(0, -1)]) {
    const { ref } = await openDepot(location).release('edge-proxy', '1.0.0-rc.1+build.7');
    expect(ref.version).toBe('1.0.0-rc.1+build.7');
  }
});

describe('a depot that is not there or not itself', () => {
  const read = (location: string, timeoutMs?: number): Promise<string> =>
    refusal(() => openDepot(location, timeoutMs).release('edge-proxy', '2.4.0'));

  test('nobody listens; no such directory', async () => {
    const depot = await scratch();
    const server = await serveDepot(depot, { host: '127.0.0.1', port: 0 });
    await server.close();
    expect(await read(server.url)).toMatch(/^World DEPOT_UNREACHABLE: .*(ECONNREFUSED|connect)/);
    expect(await read(join(depot, 'nowhere'))).toMatch(/^World DEPOT_UNREACHABLE/);
  });

  test('an HTML page, an error, a page of 50 MB', async () => {
    const page = await listenWith((_request, response) => response.end('<!doctype html><title>Sign in</title>'));
    expect(await read(page)).toMatch(/^World DEPOT_UNREACHABLE: .*got: <!doctype html>/);
    const broken = await listenWith((_request, response) => response.writeHead(503).end());
    expect(await read(broken)).toMatch(/^World DEPOT_UNREACHABLE: .*answered 503/);
    const huge = await listenWith((_request, response) => response.end(Buffer.alloc(50_000_000, 0x20)));
    expect(await read(huge)).toMatch(/^World DEPOT_UNREACHABLE: .*maxContentLength/);
  });

  test('no answer, an answer that trickles, one that is cut short', async () => {
    const silent = await listenWith(() => undefined);
    expect(await read(silent, 200)).toMatch(/^World DEPOT_UNREACHABLE/);
    const trickling = await listenWith((_request, response) => {
      const timer = setInterval(() => response.write(' '), 20);
      response.on('close', () => clearInterval(timer));
    });
    const began = performance.now();
    expect(await read(trickling, 300)).toMatch(/^World DEPOT_UNREACHABLE: .*(in time|timeout)/);
    expect(performance.now() - began).toBeLessThan(3_000);
    const cut = await listenWith((_request, response) => {
      response.writeHead(200, { 'content-length': '500' });
      response.write('{"stream":');
      setTimeout(() => response.destroy(), 20);
    });
    expect(await read(cut)).toMatch(/^World DEPOT_UNREACHABLE/);
  });

  test('one that redirects in circles', async () => {
    const circle = await listenWith((request, response) => {
      response.writeHead(302, { location: request.url ?? '/' }).end();
    });
    expect(await read(circle)).toMatch(/^World DEPOT_UNREACHABLE/);
  });
});
