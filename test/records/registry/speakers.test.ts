/** Who speaks for a site: tokens, epochs, forked journals and retirement, as the registry keeps them. */
import { describe, expect, it } from 'vitest';
import type { SiteReport } from '../../../policies/model/report.js';
import { publicHalf, signKeyset } from '../../../policies/signing/keyset.js';
import type { Registry } from '../../../records/registry/registry.js';
import { commandId, frozenPlan, Journal, key, PLACE, report, result, settled, status } from './facts.js';
import { Rollout } from './centre.js';
import { CENTRE, newKey, proven } from './enrolled.js';
import { registryUnderTest } from './on-each-database.js';

const under = registryUnderTest();
const SITE = 'osl-01';
const NOW = 10_000;
const token = (id: string, expiresAt = NOW + 1_000) => ({ id, expiresAt });
const ask = (id: string, expiresAt?: number) => ({
  site: SITE,
  token: token(id, expiresAt),
  by: 'anna',
  reason: 'new',
});
const enrolled = (instance: string, tokenId = 't1') => ({ enrolment: { tokenId, instance } });

/** The journal of one agent, delivered as far as it goes. */
class Agent {
  readonly journal: Journal;
  constructor(
    readonly epoch: number,
    readonly more: Partial<SiteReport>,
    readonly registry: Registry,
  ) {
    this.journal = new Journal(SITE, epoch);
  }

  say(detail: string): this {
    this.journal.add('started', { detail: { bootId: detail } });
    return this;
  }

  /** Everything from `after` on, at `at` by the site's clock. */
  async deliver(at: number, after = 0, before?: number) {
    const last = this.journal.events.at(-1);
    const own = report(SITE, { epoch: this.epoch, sequence: last?.sequence ?? 0, at, ...this.more });
    if (last) own.head = last.hash;
    return this.registry.recordSiteEvents(own, this.journal.events.slice(after, before), NOW);
  }
}
const codes = async (registry: Registry): Promise<unknown[]> =>
  (await registry.siteAnomalies(SITE, 10)).map(
    ({ detail }) => (detail['reason'] as { code?: string } | undefined)?.code,
  );

describe('a token', () => {
  it('[A34] is bound to the first instance that reports it; a second is noted, and the first goes on', async () => {
    const registry = await under.openEmpty();
    expect(await registry.enrol(ask('t1'), NOW)).toMatchObject({ epoch: 1, token: { id: 't1' } });
    const first = new Agent(1, enrolled('i1'), registry).say('one');
    await first.deliver(1);
    const second = new Agent(1, enrolled('i2'), registry).say('two').say('three');
    const refused = await second.deliver(2);
    expect(refused.fresh).toEqual([]);
    expect(await codes(registry)).toEqual(['ENROLMENT_USED']);
    expect((await registry.identities([SITE])).get(SITE)).toMatchObject({ instance: 'i1' });
    expect((await registry.reports([SITE])).get(SITE)?.report.enrolment?.instance).toBe('i1');
    await second.deliver(3);
    expect(await registry.siteAnomalies(SITE, 10)).toHaveLength(1);
    await first.say('more').deliver(4);
    expect((await registry.ackedThrough([SITE])).get(SITE)).toEqual({ epoch: 1, sequence: 2 });
    await expect(registry.enrol(ask('t2'), NOW)).rejects.toMatchObject({ code: 'ENROLMENT_USED' });
  });

  it('that nobody used is void once another is made, and an expired one binds nobody', async () => {
    const registry = await under.openEmpty();
    await registry.enrol(ask('t1'), NOW);
    await registry.enrol(ask('t2', NOW - 1), NOW - 10);
    await new Agent(1, enrolled('i1', 't1'), registry).say('one').deliver(1);
    await new Agent(1, enrolled('i2', 't2'), registry).say('two').deliver(1);
    expect((await codes(registry)).sort()).toEqual(['ENROLMENT_EXPIRED', 'ENROLMENT_UNKNOWN']);
    expect(await registry.reports([SITE])).toEqual(new Map());
  });
});

describe('replace', () => {
  it('[A34] gives the next epoch; the old agent is noted and believed in nothing, whichever way it comes', async () => {
    const registry = await under.openEmpty();
    await registry.freeze(frozenPlan(), { firstRunId: 'run-1', workflowId: 'w' }, NOW);
    const old = new Agent(1, {}, registry).say('one');
    await old.deliver(1);
    expect(await registry.replace(ask('t2'), NOW)).toEqual({ site: SITE, epoch: 2, token: token('t2') });
    expect(await registry.reports([SITE])).toEqual(new Map());
    await old.say('two').deliver(9);
    const id = commandId('run-1', SITE);
    await registry.recordCommanded('run-1', [{ site: SITE, ...PLACE, verb: 'converge', commandId: id }], NOW);
    const last = old.journal.events.at(-1);
    const ofOld = report(SITE, { sequence: 2, ...(last && { head: last.hash }) });
    await registry.recordSettled(key('run-1', '1'), PLACE, [settled(result(id, 'confirmed'), [], ofOld)], NOW);
    expect(await codes(registry)).toEqual(['WRONG_EPOCH']);
    expect((await registry.siteRows('run-1')).map((row) => row.outcome)).not.toContain('confirmed');
    expect(await registry.siteRows('run-1')).toMatchObject([{ outcome: 'owed', reason: { code: 'WRONG_EPOCH' } }]);
    expect(await registry.debts({ site: SITE })).toMatchObject([
      { verb: 'converge', owner: 'run-1', reason: { code: 'WRONG_EPOCH' }, commandId: id },
    ]);
    expect(await registry.siteTotals('run-1')).toMatchObject([{ outcome: 'owed', count: 1 }]);
    const told = (await registry.evidence('run-1')).find((entry) => entry.kind === 'result')?.data;
    expect(told).toMatchObject({ counted: false, arrival: 'refused', reason: { code: 'WRONG_EPOCH' } });
    expect(await registry.reports([SITE])).toEqual(new Map());

    const next = new Agent(2, enrolled('i2', 't2'), registry).say('new');
    await next.deliver(1);
    expect((await registry.reports([SITE])).get(SITE)?.report.epoch).toBe(2);
    const ended = settled(result(id, 'confirmed'), [], report(SITE, { epoch: 2, ...enrolled('i2', 't2') }));
    await registry.recordSettled(key('run-1', '2'), PLACE, [ended], NOW);
    expect(await registry.siteRows('run-1')).toMatchObject([{ site: SITE, outcome: 'confirmed' }]);
    expect((await registry.identityChanges(SITE, 9)).map(({ what, by }) => [what, by])).toEqual([
      ['bound', 'the site'],
      ['replaced', 'anna'],
    ]);
  });

  it('[A34] leaves the release owed that the old agent answered for: to the rollout, then to catch-up', async () => {
    const registry = await under.openEmpty();
    const rollout = await Rollout.begin(registry, 'run-1', '2.4.0', [SITE, 'osl-02']);
    await registry.replace(ask('t2'), NOW);
    for (const site of [SITE, 'osl-02']) await rollout.command(site);
    await rollout.settle(rollout.answer('osl-02', 'confirmed'));
    const reason = { code: 'WRONG_EPOCH' as const, detail: 'epoch 1' };
    const refusing = settled(rollout.answer(SITE, 'rejected', 'converge', { reason }));
    const at = (activityId: string) => registry.recordSettled(key('run-1', activityId), PLACE, [refusing], NOW);
    for (const activityId of ['s1', 's1', 's2'])
      expect((await at(activityId)).disbelieved).toMatchObject([{ site: SITE, reason: { code: 'WRONG_EPOCH' } }]);
    expect(await registry.debts()).toMatchObject([{ site: SITE, owner: 'run-1', reason: { code: 'WRONG_EPOCH' } }]);
    expect(await rollout.seal('promoted')).toMatchObject({ passed: { converge: 1, revert: 0 } });
    expect(await registry.debts()).toMatchObject([{ site: SITE, verb: 'converge', owner: 'catchUp' }]);
    // Whoever tells it late: what is known of a result of the site itself stays.
    const ofNew = report(SITE, { epoch: 2, ...enrolled('i2', 't2') });
    await registry.recordSettled(
      key('run-1', 's3'),
      PLACE,
      [settled(rollout.answer(SITE, 'confirmed'), [], ofNew)],
      NOW,
    );
    await at('s4');
    expect(await registry.debts()).toEqual([]);
    expect(await registry.siteTotals('run-1')).toMatchObject([{ outcome: 'confirmed', count: 2 }]);
  });

  it('goes beyond every epoch that a journal here knows, also after the registry was put back', async () => {
    const registry = await under.openEmpty();
    await registry.knowControlKey(publicHalf(CENTRE), 'the worker', NOW);
    await new Agent(3, proven('i3', 't3', 3), registry).say('one').deliver(1);
    expect((await registry.identities([SITE])).get(SITE)).toMatchObject({ epoch: 3, instance: 'i3' });
    expect((await registry.reports([SITE])).get(SITE)?.report.enrolment).toEqual({ tokenId: 't3', instance: 'i3' });
    await new Agent(2, enrolled('i2', 't2'), registry).say('two').deliver(2);
    expect(await codes(registry)).toEqual(['WRONG_EPOCH']);
    expect((await registry.replace(ask('t4'), NOW)).epoch).toBe(4);
  });
});

describe('[A34] a report that claims more than the registry knows', () => {
  const stranger = newKey();
  const claims: [string, number, Partial<SiteReport>][] = [
    ['a later epoch', 50, {}],
    ['a later epoch, with an enrolment', 50, enrolled('i9', 't9')],
    ['with a token that a stranger signed', 50, proven('i9', 't9', 50, stranger)],
    ['with the token of another epoch', 50, proven('i9', 't9', 3)],
    ['with what is no token', 50, { enrolment: { tokenId: 't9', instance: 'i9', token: 'none' as never } }],
  ];
  it.each(claims)('%s: it takes nothing over, and the agent that was there goes on', async (_case, epoch, more) => {
    const registry = await under.openEmpty();
    await registry.knowControlKey(publicHalf(CENTRE), 'the worker', NOW);
    await registry.enrol(ask('t1'), NOW);
    const real = new Agent(1, enrolled('i1'), registry).say('one');
    await real.deliver(1);
    const before = await registry.identities([SITE]);
    await new Agent(epoch, more, registry).say('forged').deliver(2);
    expect(await registry.identities([SITE])).toEqual(before);
    expect(await codes(registry)).toEqual(['ENROLMENT_UNKNOWN']);
    await real.say('two').deliver(3);
    expect((await registry.reports([SITE])).get(SITE)?.report).toMatchObject({ epoch: 1, sequence: 2 });
  });

  it('is believed with a token by an earlier key of the centre, not by one that was given up in haste', async () => {
    const next = newKey();
    for (const [compromised, expected] of [
      [false, 3],
      [true, undefined],
    ] as const) {
      const registry = await under.openEmpty();
      await registry.knowControlKey(publicHalf(CENTRE), 'the worker', NOW);
      const both = compromised ? [next] : [CENTRE, next];
      const keyset = signKeyset(4, both.map(publicHalf), [CENTRE, next], NOW);
      await registry.stepKeys({ after: 0, keyset, by: 'anna' }, NOW);
      expect((await registry.controlKeys()).keyset?.version).toBe(4);
      await new Agent(3, proven('i3', 't3', 3), registry).say('one').deliver(1);
      expect((await registry.identities([SITE])).get(SITE)?.epoch).toBe(expected);
    }
  });

  it('keeps a doubt of the same epoch', async () => {
    const registry = await under.openEmpty();
    await registry.knowControlKey(publicHalf(CENTRE), 'the worker', NOW);
    await new Agent(1, {}, registry).say('one').say('two').deliver(10);
    await new Agent(1, {}, registry).say('anew').deliver(20);
    expect((await registry.identities([SITE])).get(SITE)?.doubt).toBeDefined();
    const enrolledNow = new Agent(1, proven('i1', 't1', 1), registry);
    await enrolledNow.deliver(30);
    expect((await registry.identities([SITE])).get(SITE)).toMatchObject({
      instance: 'i1',
      doubt: { code: 'JOURNAL_FORKED' },
    });
  });
});

describe('a journal that is not the one the centre has', () => {
  it('[A34] an emptied data directory is no longer the site: it is in doubt until it is replaced, and nothing is taken over', async () => {
    const registry = await under.openEmpty();
    await new Agent(1, {}, registry).say('one').say('two').say('three').deliver(10);
    const empty = new Agent(1, {}, registry).say('anew');
    await empty.deliver(20);
    expect((await registry.identities([SITE])).get(SITE)?.doubt).toMatchObject({ code: 'JOURNAL_FORKED' });
    expect((await registry.reports([SITE])).get(SITE)?.report.sequence).toBe(3);
    // It grows past the one that was there: still another journal.
    for (const word of ['b', 'c', 'd', 'e']) empty.say(word);
    await empty.deliver(30, 3);
    await empty.deliver(31, 0, 3);
    expect((await registry.ackedThrough([SITE])).get(SITE)).toEqual({ epoch: 1, sequence: 3 });
    expect((await registry.identities([SITE])).get(SITE)?.doubt?.reportedAt).toBe(31);
    await registry.replace(ask('t2'), NOW);
    expect((await registry.identities([SITE])).get(SITE)?.doubt).toBeUndefined();
  });

  it('a copied disk puts the site in doubt until the first speaks again; a late delivery of the first is no fork', async () => {
    const registry = await under.openEmpty();
    const first = new Agent(1, {}, registry).say('one').say('two');
    await first.deliver(10);
    const copy = new Agent(1, {}, registry);
    copy.journal.events.push(...first.journal.events);
    first.say('three');
    await first.deliver(20);
    await copy.say('other three').deliver(30);
    expect((await registry.identities([SITE])).get(SITE)?.doubt).toBeDefined();
    await first.deliver(25);
    expect((await registry.identities([SITE])).get(SITE)?.doubt).toBeDefined();
    await first.say('four').deliver(40);
    expect((await registry.identities([SITE])).get(SITE)?.doubt).toBeUndefined();
    const late = report(SITE, { sequence: 2, at: 11, head: first.journal.events[1]?.hash ?? '' });
    expect((await registry.recordSiteEvents(late, [], NOW)).anomalies).toEqual([]);
    expect((await registry.acknowledged([SITE])).get(SITE)).toEqual({
      epoch: 1,
      sequence: 4,
      hash: first.journal.events[3]?.hash,
    });
  });
});

describe('retire', () => {
  it('is for good: debts stand no more, reports are refused, no token is made', async () => {
    const registry = await under.openEmpty();
    await registry.freeze(frozenPlan(), { firstRunId: 'run-1', workflowId: 'w' }, NOW);
    await registry.putStatus(status('run-1'));
    const id = commandId('run-1', SITE, 'revert');
    await registry.recordCommanded('run-1', [{ site: SITE, ...PLACE, verb: 'revert', commandId: id }], NOW);
    expect(await registry.debts({ site: SITE })).toHaveLength(1);
    const asked = { site: SITE, by: 'anna', reason: 'sold' };
    expect(await registry.retire(asked, NOW)).toMatchObject({ changed: true, cancelled: 1 });
    expect(await registry.retire({ ...asked, by: 'bob' }, NOW + 1)).toMatchObject({
      changed: false,
      identity: { retired: { by: 'anna' } },
    });
    expect([await registry.debts(), await registry.debtTotals()]).toEqual([[], []]);
    expect([...(await registry.retiredSites())]).toEqual([SITE]);
    await new Agent(1, {}, registry).say('still here').deliver(1);
    expect(await codes(registry)).toEqual(['SITE_RETIRED']);
    for (const verb of ['enrol', 'replace'] as const)
      await expect(registry[verb](ask('t9'), NOW)).rejects.toMatchObject({ code: 'SITE_RETIRED' });
  });
});
