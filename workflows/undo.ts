/**
 * The undo: a revert to every site for which a converge was ever scheduled, whatever its result (design §4.8). It
 * needs no registry: generation, digest and sites are in the workflow.
 */
import { condition, ParentClosePolicy, patched, sleep } from '@temporalio/workflow';
import type { OutlineSite, OutlineStage, PlanOutline } from '../policies/model/outline.js';
import { SHARD_SIZE, type ShardInput } from '../policies/model/outline.js';
import { isRecorded, note, openConverges, setStage, type OpenShard, type RolloutRun } from './rollout-run.js';
import { isDisposition } from '../policies/rollout/outcomes.js';
import { patienceFor } from '../policies/rollout/patience.js';
import { patient } from './proxies.js';
import { shardInput, startShard, stopShards, type ShardHandle } from './wave.js';
import type { UndoScope } from '../policies/model/rollout.js';
import { keepsConfirmed } from '../policies/rollout/undo-scope.js';

/** Stops what runs, sends the reverts, and waits until nothing unsettled may still change by itself. */
export async function undo(run: RolloutRun, outline: PlanOutline, scope: UndoScope): Promise<void> {
  const asked = run.stop;
  run.state = 'reverting';
  note(run, 'undo', { ...scope });
  const blocks = () => [scope, ...run.begunUndos].some(({ block }) => block);
  let isBlocking = blocks();
  if (isBlocking) run.blocking = blockRelease(outline);
  await stopShards(run);
  let until = 0;
  for (;;) {
    const known = run.commanded.size;
    const undos = [scope, ...run.begunUndos];
    until = Math.max(until, Date.now() + patienceOf(run, outline));
    if (!isBlocking && blocks()) run.blocking = blockRelease(outline);
    isBlocking = blocks();
    for (const stage of outline.stages) {
      const keep = keepsConfirmed(undos, stage.name);
      if (keep !== undefined) await revertStage(run, outline, stage, keep);
      else if (isBegun(run, stage)) setStage(run, stage.name, { state: 'stopped' });
    }
    // A reset, or a shard that answers late, may bring to light more sites that were commanded: those are undone too.
    const hasGrown = () => run.commanded.size !== known || run.begunUndos.length >= undos.length;
    const isMore = () => run.stop !== asked || hasGrown();
    await untilAnswered(run, until, isMore);
    // That it was reset a run learns from recording.
    if (!isMore() && patched('undo-ends-recorded')) await condition(() => isRecorded(run) || isMore());
    if (run.stop !== asked || !hasGrown()) return;
  }
}

async function revertStage(
  run: RolloutRun,
  outline: PlanOutline,
  stage: OutlineStage,
  keepConfirmed: boolean,
): Promise<void> {
  const sites = stage.waves.flatMap((wave) => wave.sites).filter((site) => owesUndo(run, site, keepConfirmed));
  if (isBegun(run, stage)) setStage(run, stage.name, { state: 'reverted' });
  for (const site of sites) run.reverting.add(site.id);
  const before = [...run.shards.values()].filter((shard) => isUndoOf(shard, stage)).length;
  for (let index = before; (index - before) * SHARD_SIZE < sites.length; index += 1) {
    const part = sites.slice((index - before) * SHARD_SIZE, (index - before + 1) * SHARD_SIZE);
    // The higher generation is above every try of the converge: a revert needs none of its own.
    const { tries: _, ...converge } = shardInput(run, outline, stage, {
      wave: 0,
      shard: index,
      sites: part,
      concurrency: SHARD_SIZE,
    });
    const input: ShardInput = { ...converge, verb: 'revert', generation: outline.generation + 1 };
    // ABANDON: an owed revert outlives its rollout, and ends only when the site answers.
    const id = `${outline.label}/${stage.name}/revert/${index + 1}`;
    const handle = await startShard(run, input, id, ParentClosePolicy.ABANDON);
    void carryUndo(run, input, handle);
  }
}

const CARRY_AGAIN = { first: 1_000, most: 60_000 };

/**
 * A carrier that was terminated or broke is started again for whoever has not answered: once the rollout is sealed, the
 * reconciler does so.
 */
async function carryUndo(run: RolloutRun, input: ShardInput, first: ShardHandle): Promise<void> {
  let handle = first;
  for (let pause = CARRY_AGAIN.first; !(await endsWell(run, handle)); pause = Math.min(2 * pause, CARRY_AGAIN.most)) {
    if (!patched('lost-undo-is-carried-again')) return;
    await sleep(pause);
    const sites = input.sites.filter(({ id }) => !run.answers.has(id));
    if (sites.length === 0 || run.state === 'sealed') return;
    handle = await startShard(run, { ...input, sites }, handle.workflowId, ParentClosePolicy.ABANDON);
  }
}

/** Its outcomes are answers, already signalled one by one: they must not stand in for the results of converges. */
async function endsWell(run: RolloutRun, handle: ShardHandle): Promise<boolean> {
  const open = run.shards.get(handle.workflowId);
  try {
    await handle.result();
    return true;
  } catch (error) {
    note(run, 'shard-lost', { shard: handle.workflowId, why: String(error) });
    return false;
  } finally {
    if (open) open.closed = true;
  }
}

function owesUndo(run: RolloutRun, site: OutlineSite, keepConfirmed: boolean): boolean {
  if (!run.commanded.has(site.id) || run.reverting.has(site.id)) return false;
  return !(keepConfirmed && run.outcomes.get(site.id)?.outcome === 'confirmed');
}

function isBegun(run: RolloutRun, stage: OutlineStage): boolean {
  return run.stages[stage.name] !== undefined;
}

async function blockRelease(outline: PlanOutline): Promise<void> {
  const { stream, digest, version } = outline.release;
  await patient.recordBlock({ stream, digest, version, rollout: outline.label });
}

function isUndoOf({ input }: OpenShard, stage: OutlineStage): boolean {
  return input.verb === 'revert' && input.stage === stage.name;
}

/**
 * Until every site has answered, or neither its `switchBy` nor the patience for its undo leaves anything to come. Ends
 * early when a person asks for more than what is under way, or there is more to undo.
 */
async function untilAnswered(run: RolloutRun, until: number, isEnough: () => boolean): Promise<void> {
  const unanswered = () => [...run.reverting].filter((site) => !run.answers.has(site));
  const done = () => unanswered().length === 0 && openConverges(run).length === 0;
  const switchBys = [...run.reverting].map((site) => run.commanded.get(site)?.switchBy ?? 0);
  const left = switchBys.reduce((latest, one) => Math.max(latest, one), until) - Date.now();
  await condition(() => done() || isEnough(), Math.max(left, 1));
  if (!done() && !isEnough()) note(run, 'owed-reverts', { sites: unanswered() });
}

/** The longest patience that any site of a stage begun so far has. */
function patienceOf(run: RolloutRun, outline: PlanOutline): number {
  const patience = outline.stages
    .filter((stage) => isBegun(run, stage))
    .flatMap(({ settleWithin, waves }) =>
      waves.flatMap(({ sites }) => sites.map((site) => patienceFor({ settleWithin, links: outline.links }, site))),
    );
  return patience.reduce((longest, one) => Math.max(longest, one), 0);
}

/**
 * Before sealing (design §4.9): until every site that was commanded has a result or has answered a revert, or may not
 * begin to switch any more. Ends early when somebody asks for something else, or `isEnough`.
 */
export async function untilNoneMaySwitch(run: RolloutRun, isEnough: () => boolean): Promise<void> {
  const asked = run.stop;
  const open = () => [...run.commanded.values()].filter(({ site }) => !run.answers.has(site) && isUnsettled(run, site));
  const left = open().reduce((latest, { switchBy }) => Math.max(latest, switchBy), 0) - Date.now();
  if (left > 0) await condition(() => open().length === 0 || run.stop !== asked || isEnough(), left);
}

/** Without a result: in flight, owed, or never heard of again. */
export function isUnsettled(run: RolloutRun, site: string): boolean {
  const outcome = run.outcomes.get(site);
  return outcome === undefined || isDisposition(outcome);
}
