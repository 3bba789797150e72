/** Fault R9: a depot that drips is given up, and asked again from where it stopped. A slow reader is not the depot's fault. */
import { createServer, type Server, type ServerResponse } from 'node:http';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sha256Hex } from '../../policies/signing/jcs.js';
import { openDepot } from '../../site/fetch/depot.js';
import { stageRelease } from '../../site/fetch/fetch-release.js';
import { Blobs } from '../../site/files/blobs.js';
import { Pace } from '../../site/fetch/pace.js';
import { TransferWatch, type Speed } from '../../site/fetch/transfer-watch.js';
import { directoryRelease, TestSite } from './test-site.js';

const SLOWEST: Speed = { bytes: 100, withinMs: 400 };
const TEXT = 'abcdefghij'.repeat(30);
let answer: (range: number, response: ServerResponse) => void;
let ranges: (string | undefined)[];
let server: Server;
let url: string;
let directory: string;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'depot-speed-'));
  ranges = [];
  server = createServer((request, response) => {
    ranges.push(request.headers.range);
    const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    if (from > 0) response.writeHead(206);
    answer(from, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  rmSync(directory, { recursive: true, force: true });
});

/** So many bytes now, then `step` of them every `everyMs`. */
function drip(first: number, step: number, everyMs: number): typeof answer {
  return (from, response) => {
    let at = from;
    const give = (bytes: number) => {
      response.write(TEXT.slice(at, (at += bytes)));
      if (at >= TEXT.length) response.end();
    };
    response.flushHeaders();
    if (first > 0) give(first);
    const timer = setInterval(() => give(step), everyMs);
    response.on('close', () => clearInterval(timer));
  };
}

const fetchBlob = (slowest: Speed, pace?: Pace) =>
  openDepot(url, slowest).blob(
    `sha256:${sha256Hex(TEXT)}`,
    TEXT.length,
    join(directory, 'part'),
    new AbortController().signal,
    pace,
  );

describe('[R9] a depot that is slow', () => {
  it.each([
    ['that drips', drip(0, 1, 20)],
    ['that begins well and then drips', drip(150, 1, 20)],
    ['that never says a word', () => undefined],
    ['that says only its headers', drip(0, 0, 10_000)],
  ])('%s is given up in time', async (_, how) => {
    answer = how;
    const began = performance.now();
    await expect(fetchBlob(SLOWEST)).rejects.toMatchObject({
      code: 'DEPOT_UNREACHABLE',
      message: expect.stringMatching(/only \d+ bytes came within 400 ms/) as string,
    });
    expect(performance.now() - began).toBeLessThan(10_000);
  });

  it('is believed as long as it brings the least that is asked', async () => {
    answer = drip(0, 20, 40);
    await fetchBlob({ bytes: 100, withinMs: 5_000 });
    expect(readFileSync(join(directory, 'part'), 'utf8')).toBe(TEXT);
  });

  it('is not blamed for what is read slowly here', async () => {
    answer = (from, response) => response.end(TEXT.slice(from));
    // Without ranges the whole of it comes, and is taken at 300 bytes a second.
    const ignoring = server.listeners('request')[0] as (...args: unknown[]) => void;
    server.removeListener('request', ignoring as never);
    server.on('request', (_request, response: ServerResponse) => response.end(TEXT));
    await fetchBlob({ bytes: 250, withinMs: 100 }, new Pace(600));
    expect(readFileSync(join(directory, 'part'), 'utf8')).toBe(TEXT);
  });

  it('is asked again from where it stopped, until all is there', async () => {
    const site = new TestSite();
    try {
      const release = site.publish(directoryRelease(site, '1.0.0'), { 'files/page': TEXT });
      const drips = drip(0, 5, 30);
      const wholly = new Set<string>();
      server.removeAllListeners('request');
      server.on('request', (request, response: ServerResponse) => {
        const path = (request.url ?? '').slice(1);
        if (!path.includes(sha256Hex(TEXT))) return void response.end(readFileSync(join(site.depot, path)));
        wholly.add(path);
        ranges.push(request.headers.range);
        const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
        if (from > 0) response.writeHead(206);
        drips(from, response);
      });
      const blobs = new Blobs(join(directory, 'blobs'));
      const signal = new AbortController().signal;
      const incoming = join(directory, 'incoming');
      const plan = {
        depot: openDepot(url, SLOWEST),
        blobs,
        incoming,
        signal,
        timeLeft: () => 60_000,
        log: () => undefined,
      };
      await stageRelease(release.digest, plan);
      expect((await blobs.read(`sha256:${sha256Hex(TEXT)}`)).toString()).toBe(TEXT);
      expect(ranges.length).toBeGreaterThan(2);
      expect(ranges[0]).toBeUndefined();
      const starts = ranges.slice(1).map((range) => Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1]));
      expect(starts.every((start, i) => start >= (starts[i - 1] ?? 1))).toBe(true);
    } finally {
      await site.clear();
    }
  });
});

describe('a transfer that is not wanted any more', () => {
  it.each([
    ['before it begins', () => AbortSignal.abort(new Error('enough'))],
    ['while it is under way', () => AbortSignal.timeout(50)],
  ])('ends at once, %s, though what it waits for never does', async (_, signal) => {
    const watch = new TransferWatch({ bytes: 1, withinMs: 60_000 }, signal());
    const began = performance.now();
    await expect(watch.over(new Promise(() => undefined))).rejects.toThrow();
    expect(performance.now() - began).toBeLessThan(1_000);
  });

  it('ends between the last byte and the end of the answer', async () => {
    const controller = new AbortController();
    answer = (from, response) => {
      response.write(TEXT.slice(from));
      setTimeout(() => controller.abort(), 50);
    };
    const depot = openDepot(url, { bytes: 1, withinMs: 60_000 });
    const fetched = depot.blob(`sha256:${sha256Hex(TEXT)}`, TEXT.length, join(directory, 'part'), controller.signal);
    await expect(fetched).rejects.toMatchObject({ code: 'DEPOT_UNREACHABLE' });
    expect(readFileSync(join(directory, 'part'), 'utf8')).toBe(TEXT);
  });
});
