import { createHash } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import type { SiteEvent, SiteReport } from '../../../policies/model/report.js';
import { hashOfEntry, judgeChain, judgeSiteEvents } from '../../../policies/signing/chain.js';
import { publicHalf } from '../../../policies/signing/keyset.js';
import type { Registry } from '../../../records/registry/registry.js';
import { commandId, frozenPlan, Journal, key, PLACE, report, result, settled, status, STREAM } from './facts.js';
import { CENTRE, proven } from './enrolled.js';
import { registryUnderTest } from './on-each-database.js';

const underTest = registryUnderTest();
let registry: Registry;
const RUN = 'run-1';
const SITE = 'osl-01';
const C1 = commandId(RUN, SITE);
const DELIVERY = { runId: 'inbox-run', name: 'delivery 1' };

beforeEach(async () => {
  registry = await underTest.openEmpty();
  await registry.freeze(frozenPlan(), { firstRunId: RUN, workflowId: 'w-1' }, 1_000);
  await registry.putStatus(status(RUN, { workflowId: 'w-1' }));
});

function at(journal: Journal, index: number): SiteEvent {
  const found = journal.events[index];
  if (found === undefined) throw new Error(`no event ${index}`);
  return found;
}

function journalOf(length: number, epoch = 1): Journal {
  const journal = new Journal(SITE, epoch);
  for (let index = 0; index < length; index += 1) journal.add('staged', { commandId: C1 });
  return journal;
}

/** Every order of a few things. */
function orders<T>(things: T[]): T[][] {
  if (things.length < 2) return [things];
  return things.flatMap((one, index) => orders(things.toSpliced(index, 1)).map((rest) => [one, ...rest]));
}

describe('events of a site', () => {
  it('[B15] O6: duplicated and in any order end as one journal that verifies', async () => {
    for (const [round, order] of orders([0, 1, 2, 3]).entries()) {
      const site = `site-${round}`;
      const own = new Journal(site);
      for (let index = 0; index < order.length; index += 1) own.add('staged');
      for (const index of order) {
        await registry.recordSiteEvents(report(site), [at(own, index), at(own, index)], 3_000);
      }
      await registry.recordSiteEvents(report(site), own.events.slice(0, 2), 3_000);
      const stored = await registry.siteEvents(site, 10);
      expect(stored).toEqual(own.events);
      expect(judgeSiteEvents(stored)).toEqual({ ok: true });
      expect((await registry.ackedThrough([site])).get(site)).toEqual({ epoch: 1, sequence: 4 });
    }
  });

  it('answer with the mark up to which nothing is missing, and an agent that is not believed with none', async () => {
    const [journal, next] = [journalOf(3), journalOf(2, 2)];
    const mark = async (told: SiteReport, ...events: SiteEvent[]) =>
      (await registry.recordSiteEvents(told, events, 3_000)).journal;
    expect(await mark(report(SITE))).toBe(0);
    expect(await mark(report(SITE), at(journal, 0), at(journal, 2))).toBe(1);
    expect(await mark(report(SITE), at(journal, 1))).toBe(3);
    expect(await mark(report(SITE, { epoch: 2 }), at(next, 0))).toBeUndefined();
  });

  it('[B15] are acknowledged for many sites at once, each for itself', async () => {
    const [one, other] = [new Journal('site-one'), new Journal('site-two')];
    for (const journal of [one, other, other]) journal.add('staged');
    await registry.recordSiteEvents(report('site-one'), [at(one, 0)], 3_000);
    await registry.recordSiteEvents(report('site-two'), [at(other, 0), at(other, 1)], 3_000);
    expect([...(await registry.ackedThrough(['site-two', 'site-none', 'site-one']))]).toEqual([
      ['site-two', { epoch: 1, sequence: 2 }],
      ['site-none', { epoch: 0, sequence: 0 }],
      ['site-one', { epoch: 1, sequence: 1 }],
    ]);
  });

  it('[B15] are acknowledged only up to where nothing is missing, of the latest epoch; the gap is noted', async () => {
    const journal = journalOf(5);
    expect((await registry.ackedThrough([SITE])).get(SITE)).toEqual({ epoch: 0, sequence: 0 });
    await registry.recordSiteEvents(report(SITE), [at(journal, 0), at(journal, 3)], 3_000);
    expect((await registry.ackedThrough([SITE])).get(SITE)).toEqual({ epoch: 1, sequence: 1 });
    expect(await registry.siteAnomalies(SITE, 9)).toMatchObject([
      { kind: 'gap', sequence: 4, detail: { missingFrom: 2, missingTo: 3 } },
    ]);
    await registry.recordSiteEvents(report(SITE), [at(journal, 4), at(journal, 1)], 3_000);
    expect((await registry.ackedThrough([SITE])).get(SITE)).toEqual({ epoch: 1, sequence: 2 });
    await registry.recordSiteEvents(report(SITE), [at(journal, 2)], 3_000);
    expect((await registry.ackedThrough([SITE])).get(SITE)).toEqual({ epoch: 1, sequence: 5 });

    await registry.recordSiteEvents(report(SITE), [at(journalOf(3, 2), 1)], 3_000);
    expect((await registry.ackedThrough([SITE])).get(SITE)).toEqual({ epoch: 2, sequence: 0 });
    await registry.recordSiteEvents(report(SITE), [at(journal, 0)], 3_000);
    expect((await registry.ackedThrough([SITE])).get(SITE)).toEqual({ epoch: 2, sequence: 0 });
  });

  it('[A43] E1: of a taken sequence are kept as evidence of the conflict, and overwrite nothing', async () => {
    const journal = journalOf(2);
    await registry.recordSiteEvents(report(SITE), journal.events, 3_000);
    const other = new Journal(SITE);
    other.add('staged', { commandId: C1 });
    const rewritten = other.add('confirmed', { commandId: C1, result: result(C1, 'confirmed') });
    const told = await registry.recordSiteEvents(report(SITE), [rewritten], 4_000);
    expect(told).toMatchObject({ fresh: [], anomalies: [{ kind: 'conflict', sequence: 2 }] });
    await registry.recordSiteEvents(report(SITE), [rewritten], 5_000);
    expect(await registry.siteEvents(SITE, 9)).toEqual(journal.events);
    expect(await registry.siteRows(RUN)).toEqual([]);
    expect(await registry.siteAnomalies(SITE, 9)).toHaveLength(1);
    const evidence = await registry.evidence(RUN);
    expect(evidence.map((entry) => [entry.kind, entry.data['kind']])).toEqual([['site-anomaly', 'conflict']]);
    expect(judgeChain(evidence)).toEqual({ ok: true });
  });

  it('[A43] E1: with a broken link or hash are kept and noted; what was altered never confirms', async () => {
    const journal = journalOf(1);
    const altered = { ...at(journal, 0), at: 1 };
    const unlinked = { ...journal.add('staged'), previous: 'f'.repeat(64) };
    const rehashed = { ...unlinked, hash: hashOfEntry(unlinked) };
    await registry.recordSiteEvents(report(SITE), [altered, rehashed], 3_000);
    const kinds = (await registry.siteAnomalies(SITE, 9)).map(({ kind, sequence }) => [kind, sequence]);
    expect(kinds).toEqual([
      ['link', 2],
      ['hash', 1],
    ]);

    const ended = journal.ended(result(C1, 'confirmed', { at: 2_002 }));
    await registry.recordSiteEvents(report(SITE), [{ ...ended, detail: { altered: true } }], 3_000);
    expect(await registry.siteRows(RUN)).toEqual([]);
    expect((await registry.ackedThrough([SITE])).get(SITE)).toEqual({ epoch: 1, sequence: 3 });
  });

  it('that fill a gap are linked to what came before them and after', async () => {
    const journal = journalOf(3);
    await registry.recordSiteEvents(report(SITE), [at(journal, 0), at(journal, 2)], 3_000);
    const other = { ...at(journal, 1), detail: { other: 1 } };
    await registry.recordSiteEvents(report(SITE), [{ ...other, hash: hashOfEntry(other) }], 4_000);
    expect(await registry.siteAnomalies(SITE, 1)).toMatchObject([{ kind: 'link', sequence: 3, at: 4_000 }]);
  });

  it('that are no events, or of another site, harm nobody', async () => {
    const odd = [
      { ...at(journalOf(1), 0), sequence: 1.5 },
      { ...at(journalOf(1), 0), hash: '\0' },
    ];
    const foreign = new Journal('brg-01');
    foreign.ended(result(commandId(RUN, 'brg-01'), 'confirmed'));
    const smuggled = new Journal(SITE);
    smuggled.ended(result(commandId(RUN, 'brg-01'), 'confirmed', { site: SITE }));
    const events = [...odd, ...foreign.events, ...smuggled.events];
    const { fresh, anomalies } = await registry.recordSiteEvents(report(SITE), events, 3_000);
    expect(fresh).toEqual([]);
    expect(anomalies.map((one) => one.kind)).toEqual(['malformed', 'foreign', 'foreign']);
    expect(await registry.siteRows(RUN)).toEqual([]);
    expect(await registry.siteEvents('brg-01', 9)).toEqual([]);
  });
});

describe('who is told', () => {
  const reverted = result(C1, 'reverted', { cause: 'deadline', at: 2_900 });

  it('[A43] a rollout is told of a revert that no observer saw, once, and whether it still runs', async () => {
    const journal = new Journal(SITE);
    journal.ended(reverted);
    const first = await registry.recordSiteEvents(report(SITE), journal.events, 3_000, DELIVERY);
    expect(first.fresh).toMatchObject([{ firstRunId: RUN, workflowId: 'w-1', running: true, outcome: { at: 2_900 } }]);
    const again = await registry.recordSiteEvents(report(SITE), journal.events, 3_000, {
      ...DELIVERY,
      name: 'delivery 2',
    });
    expect(again.fresh).toEqual([]);
    expect(await registry.siteRows(RUN)).toMatchObject([{ outcome: 'reverted', cause: 'deadline' }]);

    await registry.putStatus(status(RUN, { state: 'sealed', updatedAt: 5_000 }));
    const next = commandId(RUN, SITE, 'converge', 2);
    journal.ended(result(next, 'reverted', { cause: 'check' }));
    const late = await registry.recordSiteEvents(report(SITE), journal.events, 6_000);
    expect(late.fresh).toMatchObject([{ running: false, event: { sequence: 2 } }]);
  });

  it('the same delivery tried again tells the same: its answer may have been lost', async () => {
    const journal = new Journal(SITE);
    journal.ended(reverted);
    const first = await registry.recordSiteEvents(report(SITE), journal.events, 3_000, DELIVERY);
    const retry = await registry.recordSiteEvents(report(SITE), journal.events, 3_500, DELIVERY);
    expect(retry.fresh).toEqual(first.fresh);
    expect(retry.fresh).toHaveLength(1);
  });

  it('not what an observer has told already', async () => {
    const journal = new Journal(SITE);
    journal.ended(reverted);
    const { fresh } = await registry.recordSettled(key(RUN, '5'), PLACE, [settled(reverted, journal.events)], 3_000);
    expect(fresh).toEqual([]);
    expect((await registry.recordSiteEvents(report(SITE), journal.events, 3_000, DELIVERY)).fresh).toEqual([]);
  });

  it('but what came by the way in the answer to another rollout, by it and by the inbox', async () => {
    await registry.freeze(frozenPlan('7.0.0', 'firewall'), { firstRunId: 'run-2', workflowId: 'w-2' }, 1_000);
    const journal = new Journal(SITE);
    journal.ended(reverted);
    const other = result(`run-2/${SITE}/firewall/converge/1`, 'confirmed');
    journal.ended(other);
    const byTheWay = await registry.recordSettled(key('run-2', '5'), PLACE, [settled(other, journal.events)], 3_000);
    expect(byTheWay.fresh).toMatchObject([{ firstRunId: RUN, event: { sequence: 1 } }]);
    const inbox = await registry.recordSiteEvents(report(SITE), journal.events, 3_000, DELIVERY);
    expect(inbox.fresh).toMatchObject([{ firstRunId: RUN, event: { sequence: 1 } }]);
    expect((await registry.evidence(RUN)).map((entry) => entry.kind)).toEqual(['site-event']);
    expect((await registry.evidence('run-2')).map((entry) => entry.kind)).toEqual(['result']);
  });

  it('nobody, and no chain begins, for a rollout that is not known', async () => {
    const journal = new Journal(SITE);
    journal.ended(result(commandId('run-x', SITE), 'reverted'));
    expect((await registry.recordSiteEvents(report(SITE), journal.events, 3_000)).fresh).toEqual([]);
    expect(await registry.evidence('run-x')).toEqual([]);
    expect(await registry.siteRows('run-x')).toMatchObject([{ outcome: 'reverted' }]);
  });
});

describe('reports', () => {
  const table: [string, Parameters<typeof report>[1], boolean][] = [
    ['a later epoch', { epoch: 3, sequence: 1, at: 1 }, true],
    ['a later sequence', { epoch: 2, sequence: 6, at: 1 }, true],
    ['a later time', { epoch: 2, sequence: 5, at: 101 }, true],
    ['the same again', { epoch: 2, sequence: 5, at: 100 }, true],
    ['an earlier time', { epoch: 2, sequence: 5, at: 99 }, false],
    ['an earlier sequence', { epoch: 2, sequence: 4, at: 900 }, false],
    ['an earlier epoch', { epoch: 1, sequence: 9, at: 900 }, false],
  ];
  it.each(table)('[B15] O6: %s', async (_name, changes, kept) => {
    // Only a token of this centre makes a later epoch believed.
    await registry.knowControlKey(publicHalf(CENTRE), 'the worker', 1);
    const of = (more: Partial<SiteReport>) => {
      const { epoch } = report(SITE, more);
      return report(SITE, { ...more, ...proven(`i${epoch}`, `t${epoch}`, epoch) });
    };
    const [told, now] = [of({ epoch: 2, sequence: 5, at: 100 }), of(changes ?? {})];
    await registry.recordReport(told, 3_000);
    await registry.recordReport(now, 4_000);
    const known = (await registry.reports([SITE, 'none'])).get(SITE);
    const { enrolment, ...rest } = kept ? now : told;
    const { tokenId, instance } = enrolment ?? {};
    expect(known).toEqual({ report: { ...rest, enrolment: { tokenId, instance } }, receivedAt: kept ? 4_000 : 3_000 });
  });

  it('C1: are kept from a site whose clock was set back, once no delivery can be as late as that', async () => {
    const ahead = report(SITE, { sequence: 5, at: 10 * 86_400_000 });
    const setRight = report(SITE, { sequence: 5, at: 60_000 });
    await registry.recordReport(ahead, 0);
    const heardAt = async () => (await registry.reports([SITE])).get(SITE)?.receivedAt;
    await registry.recordReport(setRight, 599_999);
    expect(await heardAt()).toBe(0);
    await registry.recordReport(setRight, 600_000);
    expect(await heardAt()).toBe(600_000);
  });

  it('with names and versions of any length are kept, and take no other with them', async () => {
    // Nothing that repeats: PostgreSQL would press it together.
    const long = (from: number) =>
      Array.from({ length: 400 }, (_, index) => createHash('sha256').update(`${from} ${index}`).digest('base64')).join(
        '',
      );
    const streams = { [long(1)]: { state: 'idle' as const, generation: 1, try: 1, checks: [] } };
    const versions = Object.fromEntries(
      Array.from({ length: 300 }, (_, index) => [`p${index}`, long(index).slice(0, 80)]),
    );
    const odd = report('odd', { streams, versions });
    const reported = (told: SiteReport) => registry.recordSiteEvents(told, [], 3_000, DELIVERY);
    await Promise.all([reported(report('s1')), reported(odd), reported(report('s2'))]);
    expect((await registry.reports(['odd', 's2'])).get('odd')?.report).toEqual(odd);
    expect((await registry.tally([STREAM], 4_000)).versions.flatMap(({ sites }) => sites)).toContain('odd');
  });

  it('raise the generations that the next rollout takes, and cannot exhaust them', async () => {
    const streams = (generation: number) => ({ [STREAM]: { state: 'idle' as const, generation, try: 1, checks: [] } });
    await registry.recordReport(report(SITE, { streams: streams(41) }), 3_000);
    await registry.recordReport(report(SITE, { streams: streams(Number.MAX_SAFE_INTEGER), sequence: 2 }), 3_000);
    const frozen = await registry.freeze(frozenPlan(), { firstRunId: 'run-2', workflowId: 'w-2' }, 3_000);
    expect(frozen.generation).toBe(42);
    expect(await registry.siteAnomalies(SITE, 9)).toMatchObject([{ kind: 'generation' }]);
  });
});

describe('many sites at once', () => {
  const good = ['s1', 's2', 's3', 's4', 's5'];

  /** Each site brings a journal; s2 that of a copy as well, s3 a broken link, s4 the end of a command, and one cannot be stored. */
  function deliveries() {
    const told = good.map((site) => {
      const journal = new Journal(site);
      journal.add('staged');
      journal.add('staged');
      if (site === 's4') journal.ended(result(commandId(RUN, site), 'confirmed'));
      return { site, journal, head: { head: journal.events.at(-1)?.hash ?? '', sequence: journal.events.length } };
    });
    const of = told.map(({ site, journal, head }) => {
      const events = site === 's3' ? [at(journal, 1)] : journal.events;
      return { report: report(site, head), events };
    });
    const copy = new Journal('s2');
    copy.add('staged');
    copy.add('started');
    const headOfCopy = { head: copy.events.at(-1)?.hash ?? '', sequence: 2 };
    return [...of, { report: report('s2', headOfCopy), events: copy.events }];
  }
  const poison = report('not\0storable');

  it('end as they do one after another; one that cannot be stored fails alone', async () => {
    const single = [];
    for (const { report: told, events } of deliveries())
      single.push(await registry.recordSiteEvents(told, events, 3_000, DELIVERY));
    expect(single[3]?.fresh).toHaveLength(1);
    expect(single.at(-1)?.anomalies).toMatchObject([{ kind: 'identity' }]);
    const stored = async (from: Registry) => [
      await from.reports(good),
      await Promise.all(good.map(async (site) => [await from.siteEvents(site, 9), await from.siteAnomalies(site, 9)])),
      await from.ackedThrough(good),
      await from.siteRows(RUN),
    ];
    const before = await stored(registry);

    const other = await underTest.open({}, 'other');
    await other.freeze(frozenPlan(), { firstRunId: RUN, workflowId: 'w-1' }, 1_000);
    await other.putStatus(status(RUN, { workflowId: 'w-1' }));
    const [first, ...rest] = deliveries();
    const calls = [first, { report: poison, events: [] }, ...rest].flatMap((one) =>
      one ? [other.recordSiteEvents(one.report, one.events, 3_000, DELIVERY)] : [],
    );
    const together = await Promise.allSettled(calls);
    expect(together[1]?.status).toBe('rejected');
    expect(together.toSpliced(1, 1).map((one) => one.status === 'fulfilled' && one.value)).toEqual(single);
    expect(await stored(other)).toEqual(before);
  });
});
