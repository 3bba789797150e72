/** What the sweeper seals and what it leaves alone: a real registry, and a Temporal that answers as it is told. */
import { WorkflowNotFoundError } from '@temporalio/client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ControlDeps } from '../../../activities/control/deps.js';
import { sweep } from '../../../activities/control/sweep.js';
import { openRegistry } from '../../../records/registry/open.js';
import type { Registry } from '../../../records/registry/registry.js';
import { Rollout } from '../../records/registry/centre.js';
import { frozenPlan, status, STREAM } from '../../records/registry/facts.js';

const HERE = { name: 'default', id: 'n-1' };
const NOW = 10_000;

let registry: Registry;
/** By workflow id: the status of its latest run, or what asking for it throws. Others are not there. */
let temporal: Record<string, string | Error | undefined>;
/** By workflow id: when Temporal ended it, and what a signal to it throws. */
let closed: Record<string, Date>;
let refusing: Record<string, Error>;
/** What happens between Temporal's answer and the sweeper's next step. */
let meanwhile: (() => Promise<void>) | undefined;
let namespaceId: string;
/** Runs that Temporal lists as open, and what they were sent. */
let open: { workflowId: string; runId: string; startTime: Date }[];
/** `<signal> <workflow id> <arguments>`, to workflows that are there. */
let signals: string[];

function deps(): ControlDeps {
  const describe = (workflowId: string) => async () => {
    const answer = temporal[workflowId];
    if (answer === undefined) throw new WorkflowNotFoundError('not found', workflowId, undefined);
    if (answer instanceof Error) throw answer;
    await meanwhile?.();
    const firstRunId = workflowId.replace(/^w-/, '');
    const raw = { workflowExecutionInfo: { firstRunId } };
    return { runId: `${firstRunId}-last`, status: { name: answer }, closeTime: closed[workflowId], raw };
  };
  const signal = (workflowId: string) => async (name: string, payload: unknown) => {
    const refusal = refusing[workflowId];
    if (refusal) throw refusal;
    await describe(workflowId)();
    signals.push([name, workflowId, ...(payload === undefined ? [] : [JSON.stringify(payload)])].join(' '));
  };
  const client = {
    options: { namespace: HERE.name },
    workflow: {
      getHandle: (workflowId: string) => ({ describe: describe(workflowId), signal: signal(workflowId) }),
      list: async function* () {
        yield* open;
      },
    },
    workflowService: {
      describeNamespace: async () => ({ namespaceInfo: { id: namespaceId } }),
      getWorkflowExecutionHistory: async () => ({ history: { events: [] } }),
    },
  };
  return { registry, client, now: () => NOW } as unknown as ControlDeps;
}

async function begin(firstRunId: string, version: string, namespace: typeof HERE | undefined): Promise<string> {
  const named = { firstRunId, workflowId: `w-${firstRunId}`, ...(namespace && { namespace }) };
  return (await registry.freeze(frozenPlan(version), named, 1_000)).label;
}

const outcomeOf = async (firstRunId: string) => (await registry.findRollout(firstRunId))?.outcome;

beforeEach(async () => {
  registry = await openRegistry('sqlite::memory:');
  temporal = {};
  namespaceId = HERE.id;
  [open, signals] = [[], []];
  [closed, refusing] = [{}, {}];
  meanwhile = undefined;
});
afterEach(() => registry.close());

describe('a run that Temporal has open', () => {
  it('[B36] is asked how it stands if it has told nothing since it began, sealed or not, and never otherwise', async () => {
    for (const [id, version] of [
      ['r1', '2.4.0'],
      ['r2', '2.5.0'],
      ['r3', '2.6.0'],
    ] as const) {
      const label = await begin(id, version, HERE);
      temporal[`w-${id}`] = 'RUNNING';
      const told = { ...status(id, { label }), workflowId: `w-${id}`, updatedAt: 5_000 };
      await registry.putStatus(id === 'r3' ? { ...told, state: 'sealed', outcome: 'terminated' } : told);
    }
    const run = (workflowId: string, began: number) => ({ workflowId, runId: 'x', startTime: new Date(began) });
    open = [run('w-r1', 4_000), run('w-r2', 6_000), run('w-r3', 6_000), run('w-unknown', 6_000)];
    expect(await sweep(deps())).toMatchObject({ terminated: [], failed: [] });
    expect(signals).toEqual(['tell w-r2', 'tell w-r3']);
  });

  it('[B36] is asked whenever it is sealed here: it may have told all it had just before that', async () => {
    const label = await begin('r1', '2.4.0', HERE);
    temporal['w-r1'] = 'TERMINATED';
    expect((await sweep(deps())).terminated).toEqual([label]);
    temporal['w-r1'] = 'RUNNING';
    open = [{ workflowId: 'w-r1', runId: 'x', startTime: new Date(NOW - 1) }];
    expect(await sweep(deps())).toMatchObject({ terminated: [], failed: [] });
    expect(signals).toEqual(['tell w-r1']);
    await registry.putStatus({ ...status('r1', { state: 'running', updatedAt: NOW + 1 }), workflowId: 'w-r1' });
    await sweep(deps());
    expect(signals).toEqual(['tell w-r1']);
  });
});

describe('runs that are asked how they stand', () => {
  it('[B36] are asked each for itself: one that has closed is nothing, one that cannot be asked is told of', async () => {
    for (const id of ['r1', 'r2', 'r3']) {
      const label = await begin(id, '2.4.0', HERE);
      temporal[`w-${id}`] = 'RUNNING';
      await registry.putStatus({ ...status(id, { label }), workflowId: `w-${id}` });
    }
    open = ['w-r1', 'w-r2', 'w-r3'].map((workflowId) => ({ workflowId, runId: 'x', startTime: new Date(6_000) }));
    refusing = { 'w-r1': new WorkflowNotFoundError('closed', 'w-r1', undefined), 'w-r2': new Error('unavailable') };
    expect((await sweep(deps())).failed).toEqual(['w-r2: unavailable']);
    expect(signals).toEqual(['tell w-r3']);
  });
});

describe('the sweeper', () => {
  it('[B36] seals by Temporal’s clock: its own may be ahead of what a run that is reset tells', async () => {
    const label = await begin('r1', '2.4.0', HERE);
    await registry.putStatus({ ...status('r1', { label, updatedAt: 2_000 }), workflowId: 'w-r1' });
    temporal['w-r1'] = 'TERMINATED';
    closed['w-r1'] = new Date(NOW - 5_000);
    expect((await sweep(deps())).terminated).toEqual([label]);
    expect(await registry.findRollout('r1')).toMatchObject({ state: 'sealed', updatedAt: NOW - 5_000 });
    await registry.putStatus({ ...status('r1', { label, updatedAt: NOW - 4_999 }), workflowId: 'w-r1' });
    expect(await registry.findRollout('r1')).toMatchObject({ state: 'running' });
  });

  it.each(['RUNNING', 'PAUSED', 'UNKNOWN', 'UNSPECIFIED', 'CONTINUED_AS_NEW'])(
    '[B36] leaves alone what Temporal does not say has ended: %s',
    async (name) => {
      await begin('r1', '2.4.0', HERE);
      temporal['w-r1'] = name;
      expect(await sweep(deps())).toEqual({ terminated: [], woken: [], elsewhere: [], failed: [] });
      expect(await outcomeOf('r1')).toBeUndefined();
    },
  );

  it('[B36] seals what is gone from its own namespace, and names what may live in another', async () => {
    const gone = await begin('r1', '2.4.0', HERE);
    const other = await begin('r2', '2.5.0', { ...HERE, id: 'n-2' });
    const unplaced = await begin('r3', '2.6.0', undefined);
    expect(await sweep(deps())).toMatchObject({ terminated: [gone], elsewhere: [other, unplaced] });
    expect((await registry.findRollout('r1'))?.reason?.code).toBe('WORKFLOW_UNKNOWN');
    expect(await outcomeOf('r2')).toBeUndefined();
  });

  it('[B36] seals nothing after Temporal was made anew, until a person gives it up by name', async () => {
    const label = await begin('r1', '2.4.0', HERE);
    const kept = await begin('r2', '2.5.0', HERE);
    namespaceId = 'n-9';
    expect(await sweep(deps())).toMatchObject({ terminated: [], elsewhere: [label, kept] });
    const word = { giveUp: [label], by: 'kari', reason: 'the disk is gone' };
    expect(await sweep(deps(), word)).toMatchObject({ terminated: [label], elsewhere: [kept] });
    const sealed = await registry.findRollout('r1');
    expect(sealed).toMatchObject({ outcome: 'terminated', reason: { code: 'WORKFLOW_UNKNOWN' } });
    expect(sealed?.reason?.detail).toContain('given up by kari: the disk is gone');
    const told = (await registry.evidence('r1')).findLast(({ kind }) => kind === 'sealed')?.data;
    expect(told).toMatchObject({ outcome: 'terminated', by: 'kari', reason: sealed?.reason });
  });

  it('[B36] does not take a person’s word against what Temporal says, nor where it says nothing', async () => {
    const label = await begin('r1', '2.4.0', HERE);
    namespaceId = 'n-9';
    const word = { giveUp: [label], by: 'kari', reason: 'the disk is gone' };
    for (const answer of ['RUNNING', new Error('unavailable')]) {
      temporal['w-r1'] = answer;
      expect((await sweep(deps(), word)).terminated).toEqual([]);
      expect(await outcomeOf('r1')).toBeUndefined();
    }
    temporal['w-r1'] = 'TERMINATED';
    expect((await sweep(deps(), word)).terminated).toEqual([label]);
    expect((await registry.findRollout('r1'))?.reason?.code).toBe('TERMINATED');
  });

  it('remembers where it found a rollout of which nobody had said it', async () => {
    const label = await begin('r1', '2.4.0', undefined);
    temporal['w-r1'] = 'RUNNING';
    await sweep(deps());
    temporal = {};
    expect(await sweep(deps())).toMatchObject({ terminated: [label], elsewhere: [] });
  });

  it('goes on behind a rollout that it cannot see to, and says so', async () => {
    const broken = await begin('r1', '2.4.0', HERE);
    const behind = await begin('r2', '2.5.0', HERE);
    temporal['w-r1'] = new Error('unavailable');
    expect(await sweep(deps())).toMatchObject({ terminated: [behind], failed: [`${broken}: unavailable`] });
  });

  it('[B36] says of every site that was commanded and has not answered that it owes the answer', async () => {
    const rollout = await Rollout.begin(registry, 'r1', '2.4.0', ['a', 'b', 'c']);
    for (const site of ['a', 'b', 'c']) await rollout.command(site);
    await rollout.settle(rollout.answer('a', 'confirmed'));
    await registry.recordState('r1', 'b', null);
    temporal['w-r1'] = 'TERMINATED';
    expect((await sweep(deps())).terminated).toEqual([rollout.label]);
    const told = (await registry.siteRows('r1')).map(({ site, outcome, reason }) => [site, outcome, reason?.code]);
    expect(told).toEqual([
      ['a', 'confirmed', undefined],
      ['b', 'owed', 'UNREACHED'],
      ['c', 'owed', 'NO_RESULT'],
    ]);
    expect(await registry.debts({ stream: STREAM })).toEqual([]);
    // What a site tells later is what counts.
    await rollout.settle(rollout.answer('b', 'confirmed'));
    expect((await registry.siteRows('r1', { site: 'b' }))[0]?.outcome).toBe('confirmed');
  });

  it('[A24] gives up what a retired site has to undo, once, with who retired it and why; nobody else’s', async () => {
    const rollout = await Rollout.begin(registry, 'r1', '2.4.0', ['a', 'b']);
    for (const site of ['a', 'b']) {
      await rollout.command(site);
      await rollout.command(site, 'revert');
    }
    temporal['w-r1'] = 'RUNNING';
    const carrier = 'w-r1/revert';
    temporal[carrier] = new Error('unavailable');
    await sweep(deps());
    expect(await registry.debts()).toHaveLength(2);
    await registry.retire({ site: 'a', by: 'anna', reason: 'sold' }, NOW);
    expect((await sweep(deps())).failed).toEqual([`a of ${rollout.label}: unavailable`]);
    temporal[carrier] = 'RUNNING';
    for (const _ of [1, 2]) expect((await sweep(deps())).failed).toEqual([]);
    expect(signals).toEqual([`retired ${carrier} ["a"]`]);
    const reason = { code: 'SITE_RETIRED', detail: 'retired by anna: sold' };
    expect(await registry.siteRows('r1', { site: 'a' })).toMatchObject([{ outcome: 'owed', reason }]);
    const told = (await registry.evidence('r1')).filter(({ kind }) => kind === 'disposition');
    expect(told.map(({ data }) => data)).toMatchObject([{ site: 'a', outcome: { reason } }]);
    expect((await registry.debts()).map(({ site }) => site)).toEqual(['b']);
  });

  it('[A24] gives up what a retired site has to undo also where nobody carries it any more', async () => {
    const rollout = await Rollout.begin(registry, 'r1', '2.4.0', ['a']);
    await rollout.command('a', 'revert');
    temporal['w-r1'] = 'RUNNING';
    await registry.retire({ site: 'a', by: 'anna', reason: 'sold' }, NOW);
    expect(await sweep(deps())).toMatchObject({ failed: [] });
    expect(await registry.retiredReverts()).toEqual([]);
    expect(await registry.siteRows('r1')).toMatchObject([{ reason: { code: 'SITE_RETIRED' } }]);
  });

  it.each([
    ['it had told something', true],
    ['it had told nothing', false],
  ])('[B36] seals nothing if a run that was reset speaks after Temporal was asked: %s', async (_, before) => {
    const begun = before ? await Rollout.begin(registry, 'r1', '2.4.0', ['osl-01', 'osl-02']) : undefined;
    const label = begun?.label ?? (await begin('r1', '2.4.0', HERE));
    await begun?.command('osl-01');
    await begun?.dispose('osl-02', 'owed');
    temporal['w-r1'] = 'TERMINATED';
    meanwhile = async () => {
      meanwhile = undefined;
      await registry.putStatus({ ...status('r1', { label, updatedAt: 9_000 }), workflowId: 'w-r1' });
    };
    expect(await sweep(deps())).toMatchObject({ terminated: [], failed: [] });
    expect(await registry.findRollout('r1')).toMatchObject({ state: 'running', updatedAt: 9_000 });
    expect((await registry.evidence('r1')).map(({ kind }) => kind)).toEqual(before ? ['disposition'] : []);
    expect(await registry.siteRows('r1')).toHaveLength(before ? 1 : 0);
    expect((await registry.debts()).map(({ owner }) => owner)).toEqual(before ? ['r1'] : []);
    expect((await sweep(deps())).terminated).toEqual([label]);
  });

  it('seals a rollout again that went on after its seal and ended again, as evidence of its own', async () => {
    await begin('r1', '2.4.0', HERE);
    temporal['w-r1'] = 'TERMINATED';
    await sweep(deps());
    await registry.putStatus({ ...status('r1', { state: 'running', updatedAt: NOW + 1 }), workflowId: 'w-r1' });
    temporal = {};
    await sweep(deps());
    const seals = (await registry.evidence('r1')).filter(({ kind }) => kind === 'sealed');
    expect(seals.map(({ data }) => (data['reason'] as { code: string }).code)).toEqual([
      'TERMINATED',
      'WORKFLOW_UNKNOWN',
    ]);
  });
});
