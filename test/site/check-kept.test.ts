/** A `tcp` check that keeps its connection: what ends it is told at once, by a sample and never by the end itself. */
import { createServer, type Server, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { afterEach, describe, expect, it } from 'vitest';
import { Check } from '../../policies/model/check.js';
import { parseReleaseData } from '../../policies/model/release.js';
import { freePort } from '../../infra/dev/ports.js';
import { watchConfirmedChecks, type ConfirmedEnd } from '../../site/checks/watch.js';

const toStop: (() => void)[] = [];
afterEach(() => {
  for (const stop of toStop.splice(0).reverse()) stop();
});

interface Service {
  address: string;
  connections: number;
  crash: () => void;
}

/** `closes`: it lets go of every connection at once. */
async function service(closes = false): Promise<Service> {
  const port = await freePort();
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    known.connections += 1;
    sockets.add(socket);
    socket.on('error', () => undefined);
    if (closes) socket.end();
  });
  const crash = () => {
    server.close();
    for (const socket of sockets) socket.resetAndDestroy();
  };
  const known: Service = { address: `127.0.0.1:${port}`, connections: 0, crash };
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  toStop.push(crash);
  return known;
}

/** Watches it until the verdict. `at`: when that came. */
function watched(words: Record<string, unknown>): Promise<{ end: ConfirmedEnd; at: number }> {
  const check = Check.parse({ name: 'listens', keepOpen: true, timeout: '500ms', failures: 1, ...words });
  const release = {
    ...parseReleaseData({
      ...{ apiVersion: 'foothold/v1', kind: 'Release', stream: 'relay', version: '1.0.0', checks: 'none' },
      ...{ because: 'the check is given below', confirm: { within: '1m', healthyFor: '0s' }, watchFor: '1h' },
      driver: { type: 'directory', files: './files', target: '/nowhere' },
    }),
    checks: [check],
  };
  const stopped = new AbortController();
  toStop.push(() => stopped.abort());
  const elapsed = () => performance.now();
  return watchConfirmedChecks({
    ...{ release, around: { cwd: '/', now: Date.now, elapsed }, healthyFrom: 0, elapsed, confirmedElapsed: elapsed() },
    ...{ onTallies: () => undefined, signal: stopped.signal },
  }).then((end) => ({ end, at: performance.now() }));
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe('a kept connection', () => {
  it('brings the next sample forward when it ends: a process that is gone is undone long before the period is over', async () => {
    const relay = await service();
    const verdict = watched({ tcp: relay.address, every: '5s' });
    await pause(300);
    relay.crash();
    const crashed = performance.now();
    const { end, at } = await verdict;
    expect(end).toMatchObject({
      kind: 'undo',
      code: 'CHECK_FAILED',
      detail: expect.stringContaining('ECONNREFUSED') as string,
    });
    expect(at - crashed).toBeLessThan(2_000);
  });

  it('shortens no patience: failures in a row last as long as at the pace of the check', async () => {
    const relay = await service();
    const verdict = watched({ tcp: relay.address, every: '600ms', failures: 3 });
    // Late in the period: a beat that was kept would bring the second failure at once.
    await pause(500);
    relay.crash();
    const crashed = performance.now();
    expect((await verdict).at - crashed).toBeGreaterThan(2 * 600 - 20);
  });

  it('tells nothing that a sample has told: an end beside a sample that is due counts once', async () => {
    const relay = await service();
    let crashed = 0;
    // Within the sample itself, before its own connection is refused.
    const crashAt = (count: number) => () => {
      if (crashed > 0 || relay.connections < count) return;
      relay.crash();
      crashed = performance.now();
      const until = performance.now() + 350;
      while (performance.now() < until);
    };
    const timer = setInterval(crashAt(1), 10);
    toStop.push(() => clearInterval(timer));
    const { at } = await watched({ tcp: relay.address, every: '300ms', failures: 3 });
    expect(at - crashed).toBeGreaterThan(2 * 300 - 20);
  });

  it('is no verdict by itself, and a service that lets go of everybody is not asked without end', async () => {
    const shy = await service(true);
    let ended = false;
    void watched({ tcp: shy.address, every: '1s' }).then(() => (ended = true));
    await pause(900);
    expect({ ended, asked: shy.connections }).toEqual({ ended: false, asked: 4 });
  });

  it('is not made without being asked for', async () => {
    const relay = await service();
    let ended = false;
    void watched({ tcp: relay.address, every: '1500ms', keepOpen: undefined }).then(() => (ended = true));
    await pause(300);
    relay.crash();
    await pause(600);
    expect(ended).toBe(false);
  });
});

it('failures in a row are a period apart, also where timers end a moment early', async () => {
  const [every, failures] = [40, 30];
  const begun = performance.now();
  const refused = `127.0.0.1:${await freePort()}`;
  const { end, at } = await watched({ tcp: refused, keepOpen: undefined, every: `${every}ms`, failures });
  expect(end).toMatchObject({ kind: 'undo', code: 'CHECK_FAILED' });
  expect(at - begun).toBeGreaterThan((failures - 1) * every - 20);
});
