/** What was told over a connection and lost at the centre is told again over the same one. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { heard, Unacknowledged } from './unacknowledged.js';

const REPORT_MS = 100;
/** Of a few reports. */
const SOME_TIME_MS = 10 * REPORT_MS;
const told = (site: Unacknowledged, expected: number[]) =>
  vi.waitFor(() => expect(site.told).toEqual(expected), { timeout: 5_000, interval: 10 });

test.each(['gone', 'TERMINATED'] as const)(
  'O3: an inbox that is %s has lost what it took: at the next report it is told again',
  async (inbox) => {
    const site = new Unacknowledged(7, 3);
    await site.connect(async () => {
      await heard(site);
      site.inbox = inbox;
      await told(site, [...site.expected, ...site.expected]);
      site.inbox = { epoch: 1, journal: site.last };
    }, REPORT_MS);
  },
);

test('O3: a registry that was put back is told what is missing there, and nothing before it', async () => {
  const site = new Unacknowledged(7, 5);
  await site.connect(async () => {
    await heard(site);
    site.inbox = { epoch: 1, journal: 10 };
    await told(site, [...site.expected, 11, 12]);
    site.inbox = { epoch: 1, journal: 12 };
    await sleep(SOME_TIME_MS);
    expect(site.told).toEqual([...site.expected, 11, 12]);
  }, REPORT_MS);
});

test('samples that were lost are told again as well, and the journal is not', async () => {
  const site = new Unacknowledged(0, 2, 30);
  await site.connect(async () => {
    await vi.waitFor(() => expect(site.outbox).toHaveLength(30), { timeout: 5_000 });
    site.inbox = { epoch: 1, journal: 2, performance: 0, routine: 20 };
    await vi.waitFor(() => expect(site.outbox).toHaveLength(40), { timeout: 5_000 });
    site.inbox = { epoch: 1, journal: 2, performance: 0, routine: 30 };
    expect(site.outbox.slice(30)).toEqual(Array.from({ length: 10 }, (_, n) => n + 21));
  }, REPORT_MS);
  expect(site.told).toEqual(site.expected);
});

test.each([
  ['has it all', { epoch: 1, journal: 10 }],
  ['is still at work', 'RUNNING'],
  ['speaks of another epoch', { epoch: 2, journal: 0 }],
  ['is of before, and says nothing of the journal', { epoch: 1, performance: 0, routine: 0 }],
] as const)('nothing is told again while the inbox %s', async (_, inbox) => {
  const site = new Unacknowledged(7, 3);
  await site.connect(async () => {
    await heard(site);
    site.inbox = inbox;
    await sleep(SOME_TIME_MS);
  }, REPORT_MS);
  expect(site.told).toEqual(site.expected);
  expect(site.deliveries.length).toBeGreaterThan(4);
});

test('after a call that failed it is looked at once, not at the next report', async () => {
  const site = new Unacknowledged(7, 3);
  await site.connect(async () => {
    await vi.waitFor(() => expect(site.arrived).toEqual([[8, 9, 10]]));
    site.append();
    await heard(site);
    site.inbox = 'gone';
    site.refuse(1);
    site.append();
    await told(site, [8, 9, 10, 11, 8, 9, 10, 11, 12]);
  });
});

test('O3: another namespace of the same name is found by the first echo, though no call failed', async () => {
  const site = new Unacknowledged(7, 3);
  await site.connect(
    async () => {
      await vi.waitFor(() => expect(site.arrived).toEqual([[8, 9, 10]]));
      site.append();
      await heard(site);
      site.inbox = 'gone';
      site.namespaceId = 'another';
      await told(site, [...site.expected, ...site.expected]);
    },
    3_600_000,
    REPORT_MS,
  );
});

test('O3: and what only the shared inbox of the lost one had heard, the own one hears then', async () => {
  const site = new Unacknowledged(7, 3);
  await site.connect(
    async () => {
      await vi.waitFor(() => expect(site.arrived).toEqual([[8, 9, 10]]));
      site.inbox = 'gone';
      site.namespaceId = 'another';
      await told(site, site.expected);
    },
    3_600_000,
    REPORT_MS,
  );
});

test('a site that has news all the time looks too', async () => {
  const site = new Unacknowledged(7, 3);
  await site.connect(async () => {
    await heard(site);
    site.inbox = 'gone';
    for (let news = 0; news < 40 && site.told.filter((one) => one === 8).length < 2; news += 1) {
      site.append();
      await sleep(50);
    }
    site.inbox = 'RUNNING';
  }, 600);
  expect(site.told.filter((one) => one === 8)).toHaveLength(2);
});

test('where telling again moves nothing at the centre it is tried ever more seldom', async () => {
  const site = new Unacknowledged(7, 3);
  await site.connect(async () => {
    await heard(site);
    site.inbox = { epoch: 1, journal: 8 };
    await sleep(40 * REPORT_MS);
  }, REPORT_MS);
  const again = site.told.filter((one) => one === 10).length - 1;
  expect(site.deliveries.length).toBeGreaterThan(15);
  expect([again >= 2, again <= 6]).toEqual([true, true]);
});
