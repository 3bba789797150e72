import { beforeEach, describe, expect, it } from 'vitest';
import type { LogRecord, OutboxEntry, OutboxGap } from '../../../policies/model/telemetry.js';
import { linkOutboxEntry } from '../../../policies/signing/outbox-chain.js';
import type { Registry } from '../../../records/registry/registry.js';
import { Journal, report } from './facts.js';
import { registryUnderTest } from './on-each-database.js';

const underTest = registryUnderTest();
let registry: Registry;
const SITE = 'osl-01';
const resource = { attributes: { 'foothold.site': SITE } };
beforeEach(async () => {
  registry = await underTest.openEmpty();
});

function chain(length: number, priority: 'performance' | 'routine' = 'routine'): OutboxEntry[] {
  const entries: OutboxEntry[] = [];
  for (let n = 0; n < length; n++) {
    const record: LogRecord = {
      kind: 'log',
      scope: { name: 's' },
      attributes: { n },
      timeUnixMs: n,
      severityNumber: 9,
      severityText: 'INFO',
      body: 'b',
    };
    entries.push(linkOutboxEntry({ site: SITE, epoch: 1, priority, at: n, record }, entries.at(-1)));
  }
  return entries;
}

const gapOver = (entries: OutboxEntry[], from: number, to: number): OutboxGap => ({
  priority: 'routine',
  from,
  to,
  count: to - from + 1,
  previous: entries[from - 1]?.previous ?? '',
  last: entries[to - 1]?.hash ?? '',
});
const record = async (entries: OutboxEntry[]) => registry.recordOutbox(report(SITE), { resource, entries }, 3_000);
const tellGap = async (gap: OutboxGap) => {
  const journal = new Journal(SITE);
  journal.add('outbox-gap', { detail: { ...gap } });
  return registry.recordSiteEvents(report(SITE), journal.events, 3_000);
};

describe('the outbox of a site', () => {
  it('[B15] O6: twice and in any order is recorded once, and acknowledged up to what is missing', async () => {
    const routine = chain(6);
    expect(await record([routine[3]!, routine[1]!, routine[3]!])).toEqual({ epoch: 1, performance: 0, routine: 0 });
    expect(await record([routine[0]!])).toMatchObject({ routine: 2 });
    expect(await record([...chain(2, 'performance'), routine[2]!])).toEqual({ epoch: 1, performance: 2, routine: 4 });
    expect(await record(routine)).toMatchObject({ routine: 6 });
    const { entries } = await registry.siteOutbox(SITE, 100);
    expect(entries.filter((one) => one.priority === 'routine').map((one) => one.sequence)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it.each(['before', 'after'])(
    'passes over a gap that the journal tells, %s what follows it, and shows it',
    async (when) => {
      const routine = chain(9);
      const gap = gapOver(routine, 3, 7);
      if (when === 'before') await tellGap(gap);
      const acks = await record([...routine.slice(0, 2), ...routine.slice(7)]);
      if (when === 'after') {
        expect(acks).toMatchObject({ routine: 2 });
        await tellGap(gap);
      }
      expect(await record([])).toMatchObject({ routine: 9 });
      expect((await registry.siteOutbox(SITE, 9)).gaps).toEqual([{ epoch: 1, ...gap }]);
    },
  );

  it('does not pass over a gap that is not linked to what was before it, and notes it', async () => {
    const routine = chain(5);
    await record(routine.slice(0, 2));
    await tellGap({ ...gapOver(routine, 3, 4), previous: 'f'.repeat(64) });
    expect(await record(routine.slice(4))).toMatchObject({ routine: 2 });
    expect(await registry.siteAnomalies(SITE, 9)).toMatchObject([{ kind: 'link', sequence: 3 }]);
  });

  it('takes nothing that was altered, or is of another site or epoch', async () => {
    const [one] = chain(1);
    for (const change of [
      { at: 99 },
      { site: 'brg-01' },
      { epoch: 2 },
      { sequence: 0.5 },
      { priority: 'safety' as never },
    ]) {
      expect(await record([{ ...one!, ...change }])).toMatchObject({ routine: 0 });
    }
    expect((await registry.siteOutbox(SITE, 9)).entries).toEqual([]);
    expect(await registry.recordOutbox(report(SITE), { resource } as never, 3_000)).toMatchObject({ routine: 0 });
  });
});
