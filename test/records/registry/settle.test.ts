import { beforeEach, describe, expect, it } from 'vitest';
import { judgeChain } from '../../../policies/signing/chain.js';
import type { Registry } from '../../../records/registry/registry.js';
import { commandId, frozenPlan, Journal, key, PLACE, report, result, settled, status } from './facts.js';
import { registryUnderTest } from './on-each-database.js';

const underTest = registryUnderTest();
let registry: Registry;
const RUN = 'run-1';
const C1 = commandId(RUN, 'osl-01');
const R1 = commandId(RUN, 'osl-01', 'revert');

beforeEach(async () => {
  registry = await underTest.openEmpty();
  await registry.freeze(frozenPlan(), { firstRunId: RUN, workflowId: 'w-1' }, 1_000);
  await registry.putStatus(status(RUN, { workflowId: 'w-1' }));
  const row = { site: 'osl-01', ...PLACE, verb: 'converge' as const, commandId: C1, switchBy: 9_000 };
  await registry.recordCommanded(RUN, [row], 1_100);
});

async function chainOf(firstRunId = RUN): Promise<string[]> {
  const entries = await registry.evidence(firstRunId);
  expect(judgeChain(entries, await registry.evidenceHead(firstRunId))).toEqual({ ok: true });
  return entries.map((entry) => `${entry.kind}${entry.data['counted'] === false ? ' (not counted)' : ''}`);
}

describe('results', () => {
  it('[A42] are stored with report, journal and evidence, once, however often the activity is tried', async () => {
    const journal = new Journal('osl-01');
    journal.add('accepted', { commandId: C1 });
    const confirmed = result(C1, 'confirmed');
    journal.ended(confirmed);
    const one = settled(confirmed, journal.events, report('osl-01', { sequence: 2 }));
    for (const now of [3_000, 4_000, 5_000]) await registry.recordSettled(key(RUN, '5'), PLACE, [one], now);

    expect(await registry.siteRows(RUN)).toEqual([
      { site: 'osl-01', outcome: 'confirmed', ...PLACE, at: 2_000, commandId: C1, verb: 'converge', recordedAt: 3_000 },
    ]);
    expect(await registry.siteEvents('osl-01', 10)).toEqual(journal.events);
    expect((await registry.ackedThrough(['osl-01'])).get('osl-01')).toEqual({ epoch: 1, sequence: 2 });
    expect((await registry.reports(['osl-01'])).get('osl-01')?.report.sequence).toBe(2);
    expect(await chainOf()).toEqual(['result']);
  });

  it('[A42] of a run that was reset are recorded again in evidence, and counted once', async () => {
    const one = settled(result(C1, 'confirmed'));
    await registry.recordSettled(key(RUN, '5'), PLACE, [one], 3_000);
    await registry.recordSettled(key(RUN, '5', 'run-2'), PLACE, [one], 4_000);
    expect(await chainOf()).toEqual(['result', 'result (not counted)']);
    expect((await registry.siteRows(RUN))[0]).toMatchObject({ recordedAt: 3_000 });
  });

  it('keep saying why a site rejected the release, when the revert after it finds nothing to undo', async () => {
    const reason = { code: 'DIGEST_MISMATCH' as const, detail: 'a blob' };
    await registry.recordSettled(key(RUN, '5'), PLACE, [settled(result(C1, 'rejected', { reason }))], 3_000);
    const unchanged = result(R1, 'reverted', { changed: false, cause: 'command', at: 4_000 });
    await registry.recordSettled(key(RUN, '6'), PLACE, [settled(unchanged)], 5_000);
    expect((await registry.siteRows(RUN))[0]).toMatchObject({ outcome: 'rejected', reason, commandId: R1 });
  });

  it('are final: another result for the id is kept as evidence and changes nothing', async () => {
    await registry.recordSettled(key(RUN, '5'), PLACE, [settled(result(C1, 'rejected'))], 3_000);
    await registry.recordSettled(key(RUN, '6'), PLACE, [settled(result(C1, 'confirmed'))], 4_000);
    expect((await registry.siteRows(RUN))[0]).toMatchObject({ outcome: 'rejected', recordedAt: 3_000 });
    expect(await chainOf()).toEqual(['result', 'result (not counted)']);
  });

  it('of a site that speaks for another are kept as evidence and settle nobody', async () => {
    const forged = { ...settled(result(C1, 'confirmed')), result: result(C1, 'confirmed', { site: 'brg-01' }) };
    await registry.recordSettled(key(RUN, '5'), PLACE, [forged], 3_000);
    expect(await registry.siteRows(RUN)).toEqual([]);
    expect((await registry.reports()).size).toBe(0);
    expect(await chainOf()).toEqual(['result (not counted)']);
  });

  it('leave an unsettled command with the state that was seen', async () => {
    const unsettled = { kind: 'unsettled' as const, commandId: C1, state: 'watching' as const };
    await registry.recordSettled(key(RUN, '5'), PLACE, [unsettled], 3_000);
    expect(await registry.siteRows(RUN)).toEqual([]);
    expect(await registry.commanded(RUN)).toEqual([
      { site: 'osl-01', ...PLACE, commandId: C1, switchBy: 9_000, state: 'watching' },
    ]);
    await registry.recordState(RUN, 'osl-01', null);
    expect((await registry.commanded(RUN))[0]).toMatchObject({ state: null });
    await registry.recordSettled(key(RUN, '6'), PLACE, [settled(result(C1, 'confirmed'))], 3_000);
    await registry.recordState(RUN, 'osl-01', 'staged');
    expect((await registry.commanded(RUN))[0]).toMatchObject({ outcome: { outcome: 'confirmed' }, state: null });
  });

  it('come back whole or not at all: what fails in the middle leaves nothing', async () => {
    const poisoned = { ...result(C1, 'confirmed'), at: 1n as unknown as number };
    await expect(registry.recordSettled(key(RUN, '5'), PLACE, [settled(poisoned)], 3_000)).rejects.toThrow();
    expect(await registry.siteRows(RUN)).toEqual([]);
    expect(await registry.evidence(RUN)).toEqual([]);
    expect((await registry.reports()).size).toBe(0);
  });
});

describe('a local revert after the confirmation', () => {
  const confirmed = result(C1, 'confirmed', { at: 2_000 });

  it('moves the outcome with its own time and reason; the first result stays visible', async () => {
    await registry.recordSettled(key(RUN, '5'), PLACE, [settled(confirmed)], 3_000);
    const journal = new Journal('osl-01');
    journal.ended(confirmed);
    const reverted = journal.wentBack(C1, 'check', 7_000);
    const first = await registry.recordSiteEvents(report('osl-01'), journal.events, 8_000);
    expect(first.fresh).toMatchObject([
      { firstRunId: RUN, workflowId: 'w-1', running: true, event: reverted, outcome: { outcome: 'reverted' } },
    ]);
    expect(await registry.siteRows(RUN)).toMatchObject([
      { outcome: 'reverted', cause: 'check', at: 7_000, reason: { code: 'CHECK_FAILED', detail: 'answers: 503' } },
    ]);
    expect((await registry.siteRows(RUN))[0]).toMatchObject({ ...PLACE, first: { result: 'confirmed', at: 2_000 } });
    expect((await registry.recordSiteEvents(report('osl-01'), journal.events, 9_000)).fresh).toEqual([]);
    expect(await chainOf()).toEqual(['result', 'site-event']);
  });

  it('O6: ends the same in whatever order observer and inbox bring it', async () => {
    const journal = new Journal('osl-01');
    journal.ended(confirmed);
    const reverted = journal.add('reverted', {
      commandId: C1,
      result: result(C1, 'reverted', { at: 7_000, cause: 'check' }),
    });
    await registry.recordSiteEvents(report('osl-01'), [reverted], 8_000);
    expect((await registry.siteRows(RUN))[0]).toMatchObject({ outcome: 'reverted', cause: 'check', at: 7_000 });
    await registry.recordSettled(key(RUN, '5'), PLACE, [settled(confirmed)], 9_000);
    await registry.recordSiteEvents(report('osl-01'), journal.events, 9_500);
    expect((await registry.siteRows(RUN))[0]).toMatchObject({
      outcome: 'reverted',
      cause: 'check',
      at: 7_000,
      first: { result: 'confirmed', at: 2_000 },
    });
  });

  it('stays the outcome when the central revert then finds nothing to change', async () => {
    const local = result(C1, 'reverted', { cause: 'deadline', at: 2_500 });
    const row = { site: 'osl-01', ...PLACE, verb: 'revert' as const, commandId: R1 };
    await registry.recordCommanded(RUN, [row], 3_000);
    await registry.recordState(RUN, 'osl-01', 'accepted');
    expect(await registry.siteRows(RUN)).toEqual([]);
    const answer = result(R1, 'reverted', { changed: false, cause: 'command', at: 4_000, previous: local });
    await registry.recordSettled(key(RUN, '9'), PLACE, [settled(answer)], 4_100);
    expect(await registry.siteRows(RUN)).toEqual([
      {
        site: 'osl-01',
        outcome: 'reverted',
        ...PLACE,
        at: 2_500,
        cause: 'deadline',
        commandId: R1,
        verb: 'revert',
        recordedAt: 4_100,
      },
    ]);
  });

  it('is not what a central revert that undid a confirmed release leaves behind', async () => {
    await registry.recordSettled(key(RUN, '5'), PLACE, [settled(confirmed)], 3_000);
    await registry.recordCommanded(RUN, [{ site: 'osl-01', ...PLACE, verb: 'revert', commandId: R1 }], 3_500);
    await registry.recordState(RUN, 'osl-01', 'reverting');
    expect((await registry.siteRows(RUN))[0]).toMatchObject({
      outcome: 'confirmed',
      pending: { commandId: R1, verb: 'revert', state: 'reverting' },
    });
    const answer = result(R1, 'reverted', { cause: 'command', at: 4_000, previous: confirmed });
    await registry.recordSettled(key(RUN, '9'), PLACE, [settled(answer)], 4_100);
    expect((await registry.siteRows(RUN))[0]).toMatchObject({ outcome: 'reverted', cause: 'command', at: 4_000 });
    expect((await registry.commanded(RUN))[0]).toMatchObject({ commandId: C1, outcome: { cause: 'command' } });
  });
});

describe('dispositions', () => {
  const owed = { site: 'osl-01', outcome: 'owed' as const, ...PLACE, state: null };

  it('say how the centre sees a site until it answers, and never replace an answer', async () => {
    const rows = [{ site: 'osl-01', commandId: C1, outcome: owed }];
    await registry.recordDispositions(key(RUN, '6'), rows, 3_000);
    await registry.recordDispositions(key(RUN, '6'), rows, 3_001);
    expect((await registry.siteRows(RUN))[0]).toMatchObject({ outcome: 'owed', state: null, recordedAt: 3_001 });
    await registry.recordSettled(key(RUN, '7'), PLACE, [settled(result(C1, 'confirmed'))], 4_000);
    await registry.recordDispositions(key(RUN, '8'), rows, 5_000);
    expect((await registry.siteRows(RUN))[0]).toMatchObject({ outcome: 'confirmed', recordedAt: 4_000 });
    expect(await chainOf()).toEqual(['disposition', 'result', 'disposition (not counted)']);
  });

  it('of sites that were never commanded are rows, and owe no undo', async () => {
    const untouched = (site: string) => ({ site, outcome: 'untouched' as const, stage: 'rest', wave: 1 });
    const rows = ['a', 'b'].map((site) => ({ site, commandId: '', outcome: untouched(site) }));
    await registry.recordDispositions(key(RUN, '6'), rows, 3_000);
    expect(await registry.siteRows(RUN)).toMatchObject([{ site: 'a', outcome: 'untouched' }, { site: 'b' }]);
    expect((await registry.commanded(RUN)).map((one) => one.site)).toEqual(['osl-01']);
    expect(await registry.commanded(RUN, 'rest')).toEqual([]);
  });
});

describe('evidence', () => {
  it('[A42] a retry repeats its entries, a reset makes new ones', async () => {
    const drafts = [
      { kind: 'plan', data: { digest: 'x' } },
      { kind: 'gate', data: { verdict: 'pass' } },
    ];
    await registry.appendEvidence(key(RUN, '3'), drafts, 3_000);
    await registry.appendEvidence(key(RUN, '3'), drafts, 4_000);
    await registry.appendEvidence(key(RUN, '3', 'run-9'), drafts, 2_000);
    const entries = await registry.evidence(RUN);
    expect(entries.map(({ sequence, kind, runId, index, at }) => [sequence, kind, runId, index, at])).toEqual([
      [1, 'plan', RUN, 0, 3_000],
      [2, 'gate', RUN, 1, 3_000],
      // The clock was set back: the entry says no earlier time than the one before it.
      [3, 'plan', 'run-9', 0, 3_000],
      [4, 'gate', 'run-9', 1, 3_000],
    ]);
    await chainOf();
  });

  it('[A42] of several calls of one activity is all kept', async () => {
    await registry.appendEvidence(key(RUN, '3'), [{ kind: 'verb', data: {} }], 3_000);
    await registry.recordSettled(key(RUN, '3'), PLACE, [settled(result(C1, 'confirmed'))], 3_000);
    await registry.recordDispositions(
      key(RUN, '3'),
      [{ site: 'b', commandId: '', outcome: { site: 'b', outcome: 'untouched', ...PLACE } }],
      3_000,
    );
    expect((await registry.evidence(RUN)).map(({ kind, index }) => [kind, index])).toEqual([
      ['verb', 0],
      ['result', 1],
      ['disposition', 2],
    ]);
    const other = [{ kind: 'seal', data: {} }];
    await expect(registry.appendEvidence(key(RUN, '3'), other, 3_000)).rejects.toThrow('seal has the key of');
  });

  it('holds what a person or a broken client sent, whatever it was', async () => {
    const data = { by: '\ud800', value: NaN, deep: [Infinity, undefined, () => 1], 'odd\udfff': '\0', gone: undefined };
    await registry.appendEvidence(key(RUN, '3'), [{ kind: 'verb', data }], 3_000);
    const [entry] = await registry.evidence(RUN);
    expect(entry?.data).toEqual({ by: '\ufffd', value: 'NaN', deep: ['Infinity', null, null], 'odd\ufffd': '\0' });
    await chainOf();
  });
});
