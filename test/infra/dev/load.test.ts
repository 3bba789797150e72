import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { LoadGenerator } from '../../../infra/dev/load/generator.js';
import { countAnswers, nextOutage, type Answer } from '../../../infra/dev/load/timeline.js';

const servers: Server[] = [];
const generators: LoadGenerator[] = [];
afterEach(() => {
  for (const generator of generators.splice(0)) generator.stop();
  for (const server of servers.splice(0)) server.close();
});

async function site(answer: (count: number) => number): Promise<{ url: string; seen: () => number; server: Server }> {
  let seen = 0;
  const server = createServer((_request, response) => {
    seen += 1;
    const code = answer(seen);
    if (code === 0) response.destroy();
    else response.writeHead(code, { connection: 'close' }).end('answer');
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, seen: () => seen, server };
}

function load(sites: { id: string; url: string }[], rate = 50, timeout = 500): LoadGenerator {
  const generator = new LoadGenerator({ sites, rate, timeout });
  generators.push(generator);
  return generator;
}

describe('load generator', () => {
  it('sends each site its rate and counts every answer once, in its own count and for Prometheus', async () => {
    const good = await site(() => 200);
    const flaky = await site((count) => (count % 5 === 0 ? 503 : 200));
    const generator = load([
      { id: 'good', url: good.url },
      { id: 'flaky', url: flaky.url },
    ]);
    generator.start();
    await sleep(1_000);
    generator.stop();
    await sleep(100);

    const count = generator.count('flaky', 0, Infinity);
    expect(count.requests).toBe(flaky.seen());
    expect(count.failed).toBe(Math.floor(flaky.seen() / 5));
    expect(count.codes['503']).toBe(count.failed);
    expect(generator.count('good', 0, Infinity)).toMatchObject({ requests: good.seen(), failed: 0 });
    expect(good.seen()).toBeGreaterThan(40);
    expect(good.seen()).toBeLessThan(60);
    const exported = await generator.registry.metrics();
    expect(exported).toContain(`http_requests_total{site="flaky",code="503"} ${count.failed}`);
    expect(exported).toContain('http_requests_total{site="good",code="503"} 0');
  });

  it('counts a broken, a refused and an unanswered request as code 000', async () => {
    const broken = await site(() => 0);
    const refused = await site(() => 200);
    await new Promise((resolve) => refused.server.close(resolve));
    const silent = createServer(() => undefined);
    servers.push(silent);
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const silentUrl = `http://127.0.0.1:${(silent.address() as AddressInfo).port}/`;
    const generator = load(
      [
        { id: 'broken', url: broken.url },
        { id: 'refused', url: refused.url },
        { id: 'silent', url: silentUrl },
      ],
      20,
      100,
    );
    generator.start();
    await sleep(500);
    generator.stop();
    await sleep(200);
    for (const id of ['broken', 'refused', 'silent']) {
      const { requests, codes } = generator.count(id, 0, Infinity);
      expect(requests).toBeGreaterThan(0);
      expect(codes).toEqual({ '000': requests });
    }
    silent.closeAllConnections();
  });

  it('names the first bad answer and the first of eight good ones of a real outage', async () => {
    const sick = await site((count) => (count > 10 && count <= 20 ? 500 : 200));
    const generator = load([{ id: 'sick', url: sick.url }], 100);
    const begin = Date.now();
    generator.start();
    await expect.poll(() => generator.outage('sick', begin)?.restoredMs, { timeout: 5_000 }).toBeDefined();
    generator.stop();
    const answers = generator.timeline('sick');
    expect(generator.outage('sick', begin)).toEqual({
      badSinceMs: answers.find(({ code }) => code === '500')?.at,
      restoredMs: answers[answers.findLastIndex(({ code }) => code === '500') + 1]?.at,
    });
  });
});

describe('timeline', () => {
  const row = (codes: string): Answer[] => [...codes].map((code, at) => ({ at, code: code === '.' ? '200' : '500' }));

  it('counts only the span that was asked for', () => {
    expect(countAnswers(row('..xx..'), 1, 2)).toEqual({ requests: 2, failed: 1, codes: { '200': 1, '500': 1 } });
  });

  it('is not over while good answers are fewer than eight in a row', () => {
    expect(nextOutage(row('..x.......'), 0)).toEqual({ badSinceMs: 2 });
    expect(nextOutage(row('..x.......x.......'), 0)).toEqual({ badSinceMs: 2 });
    expect(nextOutage(row('..x.......x........'), 0)).toEqual({ badSinceMs: 2, restoredMs: 11 });
  });

  it('sees no outage where there is none, and none before the time asked for', () => {
    expect(nextOutage(row('..........'), 0)).toBeUndefined();
    expect(nextOutage(row('x.........'), 1)).toBeUndefined();
  });
});
