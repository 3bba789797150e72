import type { Client } from '@temporalio/client';
import { expect, test, vi } from 'vitest';
import type { SiteDoor } from '../../policies/model/site-door.js';
import { openLog } from '../../worker/log.js';
import { keepDelivering } from '../../worker/site-delivery.js';
import { heard, Unacknowledged } from './unacknowledged.js';

/** Runs the delivery of a quiet site until `until` holds; returns what it sent. */
async function delivered(reportEvery: number, until: (sent: unknown[]) => boolean, atMost: number): Promise<unknown[]> {
  const sent: unknown[] = [];
  const client = {
    workflow: {
      signalWithStart: async (_type: string, { signalArgs }: { signalArgs: unknown[] }) => sent.push(signalArgs),
    },
    workflowService: { describeNamespace: async () => ({}) },
    options: { namespace: 'default' },
    withDeadline: async (_deadline: number, ask: () => Promise<unknown>) => ask(),
  } as unknown as Client;
  const door = {
    onEvent: () => () => undefined,
    unacknowledged: () => [],
    report: async () => ({ site: 'osl-01' }),
    contacted: () => undefined,
  } as unknown as SiteDoor;
  const end = new AbortController();
  const log = openLog('test');
  log.level = 'silent';
  const running = keepDelivering({ site: 'osl-01', door, client, log, reportEvery }, end.signal);
  await vi.waitFor(() => expect(until(sent)).toBe(true), { timeout: atMost }).catch(() => undefined);
  end.abort();
  await running;
  return sent;
}

test('a connected site with nothing to tell reports again, so that a command it missed is sent again', async () => {
  const sent = await delivered(200, (all) => all.length >= 3, 5_000);
  expect(sent.length).toBeGreaterThanOrEqual(3);
  expect(sent.at(-1)).toEqual([{ report: { site: 'osl-01' }, events: [] }]);
});

test('and not before its time', async () => {
  expect(await delivered(600_000, (all) => all.length > 1, 800)).toHaveLength(1);
});

test('C1: a wall clock that is set back for days keeps no report waiting', async () => {
  const now = Date.now.bind(Date);
  let off = 0;
  const clock = vi.spyOn(Date, 'now').mockImplementation(() => now() + off);
  try {
    const setBack = (sent: unknown[]) => {
      if (sent.length > 0) off = -10 * 86_400_000;
      return sent.length >= 3;
    };
    const sent = await delivered(200, setBack, 5_000);
    expect(sent.length).toBeGreaterThanOrEqual(3);
  } finally {
    clock.mockRestore();
  }
});

test('a report that is not taken is told with what is below the words of the SDK', async () => {
  const told: (string | undefined)[] = [];
  const client = {
    workflow: {
      signalWithStart: async () => {
        throw new Error('Failed to signal', { cause: new Error('14 UNAVAILABLE: no route') });
      },
    },
    withDeadline: async (_deadline: number, ask: () => Promise<unknown>) => ask(),
  } as unknown as Client;
  const door = {
    onEvent: () => () => undefined,
    unacknowledged: () => [],
    report: async () => ({ site: 'osl-01' }),
  } as unknown as SiteDoor;
  const end = new AbortController();
  const log = openLog('test');
  log.level = 'silent';
  const onEcho = (failure?: string) => told.push(failure);
  const running = keepDelivering({ site: 'osl-01', door, client, log, onEcho }, end.signal);
  await vi.waitFor(() => expect(told.length).toBeGreaterThan(0));
  end.abort();
  await running;
  expect(told[0]).toBe('the centre did not answer: Failed to signal: 14 UNAVAILABLE: no route');
});

test('[A43] of a journal with more than one delivery takes, all is told at once, in order, and what comes after it too', async () => {
  const site = new Unacknowledged(7, 12_345);
  await site.connect(async () => {
    await heard(site);
    expect(site.told).toEqual(site.expected);
    site.append();
    await heard(site);
  });
  expect(site.told).toEqual(site.expected);
});

test('exactly as much as one delivery takes is told, and what is journaled then as well', async () => {
  const site = new Unacknowledged(0, 5_000);
  await site.connect(async () => {
    await heard(site);
    site.append();
    await heard(site);
  });
  expect(site.told).toEqual(site.expected);
});

test('what the floor of log lines pushed out of one delivery goes on at once, and so do the lines', async () => {
  const site = new Unacknowledged(0, 5_000, 2_000);
  await site.connect(async () => {
    await heard(site);
    await vi.waitFor(() => expect(site.outbox.at(-1)).toBe(2_000), { timeout: 8_000, interval: 20 });
  });
  expect(site.told).toEqual(site.expected);
  expect(site.outbox).toEqual(Array.from({ length: 2_000 }, (_, n) => n + 1));
});

test('a journal of large events goes in pages that Temporal takes, in order, and so do samples and log lines', async () => {
  const site = new Unacknowledged(7, 250, 150, 'ø'.repeat(15_000));
  await site.connect(async () => {
    await heard(site);
    await vi.waitFor(() => expect(site.outbox.at(-1)).toBe(150), { timeout: 8_000, interval: 20 });
    site.append();
    await heard(site);
  });
  expect(site.told).toEqual(site.expected);
  expect(site.outbox).toEqual(Array.from({ length: 150 }, (_, n) => n + 1));
  expect(Math.max(...site.deliveries)).toBeLessThanOrEqual(17);
});

test('an event that fills a page by itself goes alone', async () => {
  const site = new Unacknowledged(0, 3, 0, 'x'.repeat(800_000));
  await site.connect(() => heard(site));
  expect(site.told).toEqual(site.expected);
  expect(site.deliveries).toEqual([1, 1, 1]);
});

test('over a link that does not carry a page in time it goes in smaller ones, and does not try the large one for ever', async () => {
  const site = new Unacknowledged(7, 100, 30, 'x'.repeat(1_000));
  site.passes = 20_000;
  await site.connect(async () => {
    await heard(site);
    await vi.waitFor(() => expect(site.outbox.at(-1)).toBe(30), { timeout: 8_000, interval: 20 });
  });
  expect(site.told).toEqual(site.expected);
});

test('over the next connection everything unacknowledged is told again, from where it was acknowledged', async () => {
  const site = new Unacknowledged(7, 6_000);
  await site.connect(() => heard(site));
  site.told.length = 0;
  await site.connect(() => heard(site));
  expect(site.told).toEqual(site.expected);
});

test('a call that fails in the midst of it leaves nothing out', async () => {
  const site = new Unacknowledged(7, 6_000);
  await site.connect(async () => {
    await vi.waitFor(() => expect(site.told.length).toBeGreaterThan(0), { interval: 1 });
    site.refuse(1);
    await heard(site);
  });
  expect([...new Set(site.told)]).toEqual(site.expected);
});

test('little that is said first over a connection goes to the inbox that sites share, and once more with what is said next', async () => {
  const site = new Unacknowledged(7, 3, 2);
  await site.connect(async () => {
    await vi.waitFor(() => expect(site.arrived).toEqual([[8, 9, 10]]));
    expect(site.told).toEqual([]);
    site.append();
    await heard(site);
  });
  expect(site.told).toEqual([8, 9, 10, 11]);
  expect(site.outbox).toEqual([1, 2]);
  await site.connect(() => vi.waitFor(() => expect(site.arrived.at(1)).toEqual([8, 9, 10, 11])));
});

test('where connections are too short to say it to the own inbox, that one comes first after a while, and then the shared one', async () => {
  const site = new Unacknowledged(7, 3);
  const announces = (times: number) => site.connect(() => vi.waitFor(() => expect(site.arrived).toHaveLength(times)));
  for (const times of [1, 2, 3]) await announces(times);
  expect(site.told).toEqual([]);
  await site.connect(() => heard(site));
  expect([site.arrived.length, site.told]).toEqual([3, site.expected]);
  await announces(4);
});

test('much goes to the own inbox from the start, and so does what the shared one did not take', async () => {
  const much = new Unacknowledged(0, 40, 0, 'x'.repeat(300));
  await much.connect(() => heard(much));
  expect([much.arrived, much.told]).toEqual([[], much.expected]);
  const refused = new Unacknowledged(0, 3);
  refused.refuse(1);
  await refused.connect(() => heard(refused));
  expect([refused.arrived, refused.told]).toEqual([[], refused.expected]);
});
