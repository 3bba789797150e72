import { beforeEach, describe, expect, it } from 'vitest';
import { CATCH_UP, type Debt } from '../../../policies/model/debt.js';
import type { Registry } from '../../../records/registry/registry.js';
import { releaseDigest, Rollout } from './centre.js';
import { Journal, key, report, settled, STREAM } from './facts.js';
import { registryUnderTest } from './on-each-database.js';

const underTest = registryUnderTest();
let registry: Registry;
let first: Rollout;
const X = 'osl-01';
const Y = 'osl-02';

beforeEach(async () => {
  registry = await underTest.openEmpty();
  first = await Rollout.begin(registry, 'run-1', '2.4.0', [X, Y]);
});

async function debts(filter?: Parameters<Registry['debts']>[0]): Promise<string[]> {
  const text = ({ site, verb, label, owner }: Debt): string => `${verb} ${site} ${label} of ${owner}`;
  return (await registry.debts(filter)).map(text);
}

describe('a converge debt', () => {
  it('[A19] opens when the site is owed, says all that carrying it needs, and closes with the result', async () => {
    await first.command(X);
    expect(await debts()).toEqual([]);
    const reason = { code: 'UNREACHED' as const, detail: 'no answer for 30m' };
    await first.dispose(X, 'owed', { state: null, reason });
    expect(await registry.debts()).toEqual([
      {
        site: X,
        stream: STREAM,
        verb: 'converge',
        firstRunId: 'run-1',
        workflowId: 'w-run-1',
        label: 'edge-proxy-2.4.0-1',
        release: { version: '2.4.0', digest: releaseDigest('2.4.0') },
        planDigest: first.frozen.planDigest,
        stage: 'all',
        wave: 0,
        generation: 1,
        try: 1,
        commandId: first.id(X),
        carrier: 'w-run-1/converge',
        owner: 'run-1',
        reason,
        since: 3_000,
        state: null,
      },
    ]);
    await first.settle(first.answer(X, 'confirmed'));
    expect(await debts()).toEqual([]);
  });

  it('[A19] that is deferred says until when, also where no command was ever scheduled', async () => {
    const reason = { code: 'GROUP_CHANGING' as const, detail: 'osl-02' };
    await first.dispose(X, 'deferred', { reason, until: 8_000 });
    const [debt] = await registry.debts();
    expect(debt).toMatchObject({ verb: 'converge', try: 0, until: 8_000, reason });
    expect(debt).not.toHaveProperty('commandId');
    // What began the debt stays; what hinders it now is what is told.
    await first.dispose(X, 'owed', { now: 9_000 });
    expect((await registry.debts())[0]).toMatchObject({ since: 3_000, reason: { code: 'UNREACHED' } });
    expect((await registry.debts())[0]).not.toHaveProperty('until');
  });

  it('follows the state that is last known of its command', async () => {
    await first.command(X);
    await first.dispose(X, 'owed', { state: null });
    await first.unsettled(X, 'staged');
    expect((await registry.debts())[0]).toMatchObject({ state: 'staged' });
    await registry.recordState('run-1', X, 'watching');
    expect((await registry.debts())[0]).toMatchObject({ state: 'watching' });
  });

  it('[B36] never opens by a disposition that is recorded after the result', async () => {
    await first.command(X);
    await first.settle(first.answer(X, 'rejected'));
    await first.dispose(X, 'owed');
    expect(await debts()).toEqual([]);
  });

  it('[B36] is not owed by a site left untouched', async () => {
    await first.dispose(X, 'untouched');
    expect(await debts()).toEqual([]);
  });

  it('closes by what the inbox brings, and by what a revert repeats of it', async () => {
    for (const site of [X, Y]) {
      await first.command(site);
      await first.dispose(site, 'owed');
    }
    const journal = new Journal(X);
    journal.ended(first.answer(X, 'confirmed'));
    await registry.recordSiteEvents(report(X), journal.events, 4_000);
    expect(await debts()).toEqual([`converge ${Y} ${first.label} of run-1`]);
    await first.command(Y, 'revert');
    await first.settle(first.answer(Y, 'reverted', 'revert', { previous: first.answer(Y, 'reverted') }));
    expect(await debts()).toEqual([]);
  });

  it('opens again for a retry, and closes for good once any try was confirmed', async () => {
    await first.command(X);
    await first.settle(first.answer(X, 'rejected'));
    await first.command(X, 'converge', 2);
    await first.dispose(X, 'owed', { tries: 2 });
    expect((await registry.debts())[0]).toMatchObject({ try: 2, commandId: first.id(X, 'converge', 2) });
    await first.settle(first.answer(X, 'confirmed', 'converge', { try: 2 }));
    await first.dispose(X, 'owed', { tries: 2 });
    expect(await debts()).toEqual([]);
  });
});

describe('a revert debt', () => {
  it('[A19] opens when the undo is commanded and takes the place of the converge', async () => {
    await first.command(X);
    await first.dispose(X, 'owed');
    await first.command(X, 'revert', 1, 6_000);
    expect(await registry.debts()).toMatchObject([
      { verb: 'revert', generation: 2, since: 6_000, carrier: 'w-run-1/revert', reason: { code: 'COMMANDED' } },
    ]);
    // A converge that is told late does not come back beside the undo.
    await first.dispose(X, 'owed');
    expect(await debts()).toEqual([`revert ${X} ${first.label} of run-1`]);
  });

  it.each([
    ['reverted', undefined],
    ['rejected', { code: 'STALE', detail: 'generation 4' }],
    ['safe-mode', { code: 'NOTHING_VERIFIED', detail: '' }],
    ['superseded', undefined],
  ] as const)('ends with whatever result its id has: %s', async (word, reason) => {
    await first.command(X);
    await first.command(X, 'revert');
    await first.settle(first.answer(X, word, 'revert', reason === undefined ? {} : { reason }));
    expect(await debts()).toEqual([]);
    await first.command(X, 'revert');
    await first.dispose(X, 'owed', { verb: 'revert' });
    expect(await debts()).toEqual([]);
  });

  it.each(['SIGNATURE_INVALID', 'WRONG_SITE', 'WRONG_EPOCH', 'ENROLMENT_USED', 'JOURNAL_FORKED'] as const)(
    '[A19] stands when the agent did not take the undo in (%s), and ends when the same id is answered',
    async (code) => {
      await first.command(X);
      await first.command(X, 'revert');
      const reason = { code, detail: 'so says the agent' };
      await first.settle(first.answer(X, 'rejected', 'revert', { reason }));
      await first.seal('reverted');
      const owed = { verb: 'revert', owner: CATCH_UP, reason, commandId: first.id(X, 'revert') };
      expect(await registry.debts()).toMatchObject([owed]);
      await first.settle(first.answer(X, 'reverted', 'revert'));
      expect(await debts()).toEqual([]);
      // The refusal of an envelope that was late on its way changes nothing any more.
      await first.settle(first.answer(X, 'rejected', 'revert', { reason }));
      expect(await debts()).toEqual([]);
    },
  );

  it('[A19] opens with the refusal of an undo that was issued with the registry away, whoever refused it', async () => {
    const reason = { code: 'WRONG_EPOCH' as const, detail: 'the command is for epoch 1, this agent is of epoch 2' };
    await first.settle(first.answer(X, 'rejected', 'revert', { reason }));
    expect(await registry.debts()).toMatchObject([{ verb: 'revert', site: X, reason, stage: 'all' }]);
    const evidence = await registry.evidence('run-1');
    expect(evidence.at(-1)?.data).toMatchObject({ counted: false, arrival: 'not-taken' });
  });

  it('goes on with the later try that superseded it', async () => {
    await first.command(X, 'revert');
    await first.command(X, 'revert', 2);
    await first.settle(first.answer(X, 'superseded', 'revert'));
    expect(await registry.debts()).toMatchObject([{ try: 2, commandId: first.id(X, 'revert', 2) }]);
    await first.settle(first.answer(X, 'reverted', 'revert', { try: 2 }));
    expect(await debts()).toEqual([]);
  });

  it('[B36] is not owed any more once any try was answered, though a later one was commanded', async () => {
    await first.command(X, 'revert');
    await first.command(X, 'revert', 2);
    await first.settle(first.answer(X, 'reverted', 'revert'));
    expect(await debts()).toEqual([]);
  });

  it('[A19] that was issued with the registry down opens with the next that is heard of it', async () => {
    await first.dispose(X, 'owed', { verb: 'revert' });
    expect(await registry.debts()).toMatchObject([{ verb: 'revert', try: 1, commandId: first.id(X, 'revert') }]);
    await first.command(Y);
    for (const updatedAt of [6_000, 7_000]) await registry.putStatus(first.status({ owedReverts: [X, Y], updatedAt }));
    const owed = { verb: 'revert', site: Y, since: 6_000, commandId: first.id(Y, 'revert'), stage: 'all' };
    expect(await registry.debts({ site: Y })).toMatchObject([owed]);
    // Told once more after the answer, it does not open again.
    for (const site of [X, Y]) await first.settle(first.answer(site, 'reverted', 'revert'));
    await registry.putStatus(first.status({ owedReverts: [X, Y], updatedAt: 8_000 }));
    expect(await debts()).toEqual([]);
  });

  it('is closed by the inbox before the observer brings the same answer, and stays closed', async () => {
    await first.command(X, 'revert');
    const answer = first.answer(X, 'reverted', 'revert', { changed: false });
    const journal = new Journal(X);
    journal.ended(answer);
    await registry.recordSiteEvents(report(X), journal.events, 4_000);
    expect(await debts()).toEqual([]);
    await registry.recordSettled(
      key('run-1', 'late'),
      { stage: 'all', wave: 0 },
      [settled(answer, journal.events)],
      5_000,
    );
    await first.command(X, 'revert');
    expect(await debts()).toEqual([]);
  });

  it('[B36] does not open where its answer was recorded first', async () => {
    await first.settle(first.answer(X, 'reverted', 'revert'));
    await first.command(X, 'revert');
    expect(await debts()).toEqual([]);
  });
});

describe('debts of several rollouts', () => {
  it('[A19] a newer rollout hides the older converge, brings it back if it is not promoted, and ends it if it is', async () => {
    await first.dispose(X, 'owed');
    await first.seal('promoted');
    const second = await Rollout.begin(registry, 'run-2', '2.5.0', [X, Y]);
    expect(await debts()).toEqual([`converge ${X} ${first.label} of ${CATCH_UP}`]);
    await second.dispose(X, 'owed');
    expect(await debts()).toEqual([`converge ${X} ${second.label} of run-2`]);
    expect(await registry.debtTotals()).toEqual([{ stream: STREAM, verb: 'converge', owner: 'run-2', count: 1 }]);
    await second.seal('aborted');
    expect(await debts()).toEqual([`converge ${X} ${first.label} of ${CATCH_UP}`]);
    const third = await Rollout.begin(registry, 'run-3', '2.6.0', [X, Y]);
    await third.dispose(X, 'owed');
    await third.seal('promoted');
    expect(await debts()).toEqual([`converge ${X} ${third.label} of ${CATCH_UP}`]);
    await third.command(X);
    await third.settle(third.answer(X, 'rejected'));
    expect(await debts()).toEqual([]);
  });

  it('[A19] a confirmed converge ends every converge of the stream up to its own, and none after it', async () => {
    await first.dispose(X, 'owed');
    await first.seal('promoted');
    const second = await Rollout.begin(registry, 'run-2', '2.5.0', [X]);
    await second.settle(second.answer(X, 'confirmed'));
    expect(await debts()).toEqual([]);
    const third = await Rollout.begin(registry, 'run-3', '2.6.0', [X]);
    await third.dispose(X, 'owed');
    // What comes late of the older ones neither ends the newer debt nor opens an older one.
    await second.settle(second.answer(X, 'confirmed'));
    await first.dispose(X, 'owed');
    expect(await debts()).toEqual([`converge ${X} ${third.label} of run-3`]);
    await third.seal('aborted');
    expect(await debts()).toEqual([]);
  });

  it('[A19] owed reverts stand beside each other and beside a newer converge, first of all, and never end unanswered', async () => {
    await first.command(X, 'revert', 1, 7_000);
    await first.seal('reverted');
    const second = await Rollout.begin(registry, 'run-2', '2.5.0', [X]);
    await second.dispose(X, 'owed');
    await second.command(X, 'revert', 1, 8_000);
    await second.seal('aborted');
    const third = await Rollout.begin(registry, 'run-3', '2.6.0', [X]);
    await third.dispose(X, 'owed', { now: 1_500 });
    const reverts = [`revert ${X} ${first.label} of ${CATCH_UP}`, `revert ${X} ${second.label} of ${CATCH_UP}`];
    expect(await debts()).toEqual([...reverts, `converge ${X} ${third.label} of run-3`]);
    expect(await debts({ limit: 1 })).toEqual(reverts.slice(0, 1));
    await third.settle(third.answer(X, 'confirmed'));
    expect(await debts()).toEqual(reverts);
    await second.settle(second.answer(X, 'rejected', 'revert', { reason: { code: 'STALE', detail: '' } }));
    expect(await debts()).toEqual(reverts.slice(0, 1));
  });

  it('of a catch-up batch that does not come through leave the debt that it was for', async () => {
    await first.dispose(X, 'owed');
    await first.seal('promoted');
    const batch = await Rollout.begin(registry, 'run-2', '2.4.0', [X], { of: 'run-1' });
    await batch.command(X);
    await batch.dispose(X, 'owed');
    expect(await debts({ owner: 'run-2' })).toEqual([`converge ${X} ${batch.label} of run-2`]);
    await batch.seal('aborted');
    expect(await debts({ owner: CATCH_UP })).toEqual([`converge ${X} ${first.label} of ${CATCH_UP}`]);
  });

  it('are found by stream, site, owner, verb and rollout', async () => {
    await first.command(X, 'revert');
    await first.dispose(Y, 'owed');
    const [revert, converge] = [`revert ${X} ${first.label} of run-1`, `converge ${Y} ${first.label} of run-1`];
    expect(await debts({ stream: STREAM })).toEqual([revert, converge]);
    expect(await debts({ stream: 'psk' })).toEqual([]);
    expect(await debts({ site: Y })).toEqual([converge]);
    expect(await debts({ verb: 'revert' })).toEqual([revert]);
    expect(await debts({ owner: CATCH_UP })).toEqual([]);
    expect(await debts({ firstRunId: 'run-1', verb: 'converge' })).toEqual([converge]);
    expect(await registry.debtTotals()).toEqual([
      { stream: STREAM, verb: 'revert', owner: 'run-1', count: 1 },
      { stream: STREAM, verb: 'converge', owner: 'run-1', count: 1 },
    ]);
  });
});

describe('sealing', () => {
  it('[B36] promoted passes all debts to the reconciler, by compare-and-set, and answers the same when repeated', async () => {
    await first.command(X, 'revert');
    await first.dispose(Y, 'owed');
    const handed = { stream: STREAM, passed: { converge: 1, revert: 1 }, cancelled: 0 };
    expect(await first.seal('promoted')).toEqual(handed);
    expect(await debts({ owner: CATCH_UP })).toHaveLength(2);
    // A retry of the activity, also one that was told another end by mistake, finds it done.
    expect(await registry.handOver('run-1', 'promoted', 9_000)).toEqual(handed);
    expect(await registry.handOver('run-1', 'aborted', 9_000)).toEqual(handed);
    expect(await debts({ owner: CATCH_UP })).toHaveLength(2);
  });

  it.each(['aborted', 'reverted', 'terminated', 'refused'] as const)(
    '%s cancels the converges and passes the reverts',
    async (outcome) => {
      await first.command(X, 'revert');
      await first.dispose(Y, 'owed');
      expect(await first.seal(outcome)).toEqual({ stream: STREAM, passed: { converge: 0, revert: 1 }, cancelled: 1 });
      expect(await debts()).toEqual([`revert ${X} ${first.label} of ${CATCH_UP}`]);
    },
  );

  it('[B36] what is told after it has the owner that sealing gave, or is not owed at all', async () => {
    await first.seal('aborted');
    await first.dispose(X, 'owed');
    await first.command(Y, 'revert');
    expect(await debts()).toEqual([`revert ${Y} ${first.label} of ${CATCH_UP}`]);
    const second = await Rollout.begin(registry, 'run-2', '2.5.0', [X]);
    await second.seal('promoted');
    await second.dispose(X, 'owed');
    expect(await debts({ site: X })).toEqual([`converge ${X} ${second.label} of ${CATCH_UP}`]);
  });

  it('promoted: a site that was commanded and of which nobody said that it owes, owes the release until it answers', async () => {
    await first.command(X);
    await first.command(Y);
    await first.settle(first.answer(Y, 'rejected'));
    expect(await debts()).toEqual([]);
    expect(await first.seal('promoted')).toMatchObject({ passed: { converge: 1, revert: 0 } });
    const [debt] = await registry.debts();
    expect(debt).toMatchObject({ site: X, verb: 'converge', owner: CATCH_UP, try: 1, reason: { code: 'UNREACHED' } });
    expect(await debts()).toHaveLength(1);
    await first.settle(first.answer(X, 'confirmed'));
    expect(await debts()).toEqual([]);
  });

  it('promoted: so does one whose latest try has no answer, and one that the record calls untouched', async () => {
    await first.command(X);
    await first.settle(first.answer(X, 'rejected'));
    await first.command(X, 'converge', 2);
    await first.command(Y);
    await first.dispose(Y, 'untouched');
    await first.seal('promoted');
    const sites = (await registry.debts({ owner: CATCH_UP })).map(({ site, try: number }) => [site, number]);
    expect(sites.sort()).toEqual([
      [X, 2],
      [Y, 1],
    ]);
  });

  it.each(['aborted', 'terminated'] as const)('%s: it owes nothing', async (outcome) => {
    await first.command(X);
    expect(await first.seal(outcome)).toMatchObject({ passed: { converge: 0, revert: 0 }, cancelled: 0 });
    expect(await debts()).toEqual([]);
  });

  it('halted is none: the rollout goes on owning its debts', async () => {
    await first.dispose(X, 'owed');
    const nothing = { stream: STREAM, passed: { converge: 0, revert: 0 }, cancelled: 0 };
    expect(await registry.handOver('run-1', 'halted', 5_000)).toEqual(nothing);
    expect(await debts({ owner: 'run-1' })).toHaveLength(1);
    expect(await first.seal('promoted')).toMatchObject({ passed: { converge: 1 } });
  });

  it('of a rollout that nobody knows is refused by name', async () => {
    await expect(registry.handOver('run-9', 'promoted', 5_000)).rejects.toMatchObject({ code: 'ROLLOUT_NOT_FOUND' });
  });
});

describe('a rollout that was sealed and goes on after all', () => {
  const sealedAndOwing = async () => {
    await first.command(X, 'revert');
    await first.dispose(Y, 'owed');
    await first.seal('terminated');
    expect(await debts()).toEqual([`revert ${X} ${first.label} of ${CATCH_UP}`]);
  };
  const ownAgain = () => [`revert ${X} ${first.label} of run-1`, `converge ${Y} ${first.label} of run-1`];

  it.each([
    ['a person adopts its run', () => registry.adoptRun('run-1', 0, 'run-1b')],
    ['its status says so', () => registry.putStatus(first.status({ state: 'running', updatedAt: 6_000 }))],
  ])('owns what it owes again, and is handed over anew: %s', async (_words, goesOn) => {
    await sealedAndOwing();
    await goesOn();
    expect(await debts()).toEqual(ownAgain());
    expect((await first.seal('promoted', 7_000)).passed).toEqual({ converge: 1, revert: 1 });
    expect((await registry.desired(STREAM, [Y])).get(Y)?.firstRunId).toBe('run-1');
  });

  it('decides anew what its sites should run', async () => {
    await first.command(X);
    await first.settle(first.answer(X, 'confirmed'));
    await first.seal('promoted');
    await registry.adoptRun('run-1', 0, 'run-1b');
    expect(await registry.desiredStreams()).toEqual([]);
    await first.seal('aborted', 7_000);
    expect([...(await registry.desired(STREAM, [X, Y])).keys()]).toEqual([X]);
  });

  it('O6: is not one of which only an older word comes late', async () => {
    await sealedAndOwing();
    for (const updatedAt of [4_999, 5_000]) await registry.putStatus(first.status({ state: 'running', updatedAt }));
    expect((await registry.findRollout('run-1'))?.state).toBe('sealed');
    expect(await debts()).toEqual([`revert ${X} ${first.label} of ${CATCH_UP}`]);
  });
});

describe('a rollout that the registry hears of only after its commands', () => {
  it('O3: owes what they say, once its next status is recorded', async () => {
    const lost = { firstRunId: 'run-7', label: 'edge-proxy-2.7.0-1', generation: 7 };
    const row = { site: X, stage: 'all', wave: 0, verb: 'revert' as const, commandId: `run-7/${X}/${STREAM}/revert/1` };
    await registry.recordCommanded('run-7', [row], 2_000);
    expect(await debts()).toEqual([]);
    await registry.putStatus(first.status({ ...lost, workflowId: 'w-7' }));
    expect(await registry.debts()).toMatchObject([{ ...lost, generation: 8, workflowId: 'w-7', verb: 'revert' }]);
  });
});
