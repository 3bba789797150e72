/** One wave: its shards side by side, until every site has an outcome, or something stops it (design §4.4). */
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  condition,
  getExternalWorkflowHandle,
  log,
  patched,
  sleep,
  ParentClosePolicy,
  startChild,
  type ChildWorkflowHandle,
} from '@temporalio/workflow';
import type { OutlineSite, OutlineStage, PlanOutline, ShardInput } from '../policies/model/outline.js';
import { planShards } from '../policies/rollout/shards.js';
import { goOnSignal, heardSignal, holdSignal, stopSignal, type ShardEnd } from './messages.js';
import { patient } from './proxies.js';
import {
  note,
  openConverges,
  setStage,
  waitsForUplink,
  worstBudget,
  type OpenShard,
  type RolloutRun,
} from './rollout-run.js';
import { loseSites } from './lost-sites.js';
import { takeKnown } from './rollout-carry.js';
import { takeOutcome } from './rollout-news.js';
import { untilRecorded } from './rollout-record.js';
import { shard } from './shard.js';

const STOP_WITHIN = '30s';

/** Carries out one wave. Returns once every site has an outcome, or as soon as the rollout must stop. */
export async function carryOutWave(
  run: RolloutRun,
  outline: PlanOutline,
  stage: OutlineStage,
  wave: number,
): Promise<void> {
  const sites = unsettled(run, stage, wave);
  setStage(run, stage.name, { wave: wave + 1, state: 'running' });
  note(run, 'wave', { stage: stage.name, wave, sites: sites.map((site) => site.id) });
  await untilRecorded(run);

  const { shards, together } = planShards(sites, stage.concurrency);
  // A wave that is taken up again has new shards: a late word of the old ones must not be taken for theirs.
  const before = [...run.shards.values()].filter((one) => isOfWave(one.input, stage, wave)).length;
  let open = 0;
  for (const [index, cut] of shards.entries()) {
    await condition(() => (open < together && !run.paused) || mustStop(run, stage));
    if (mustStop(run, stage)) break;
    const input = shardInput(run, outline, stage, { wave, shard: index, ...cut });
    open += 1;
    const handle = await startShard(run, input, `${outline.label}/${stage.name}/${wave + 1}/${before + index + 1}`);
    if (run.paused) holdShard(run, handle.workflowId);
    void watchShard(run, handle).finally(() => (open -= 1));
  }
  await condition(() => open === 0 || mustStop(run, stage));
}

function isOfWave({ verb, stage, wave }: ShardInput, of: OutlineStage, index: number): boolean {
  return verb === 'converge' && stage === of.name && wave === index;
}

/** The sites of a wave that were not commanded yet: all at first, and what a stop or a reset left untouched. */
export function unsettled(run: RolloutRun, stage: OutlineStage, wave: number): OutlineSite[] {
  const sites = stage.waves[wave]?.sites ?? [];
  return sites.filter(({ id }) => {
    const { outcome, reason } = run.outcomes.get(id) ?? { outcome: 'untouched' };
    // Kept from it by the reset alone, which ends with a person's word: nobody would ask for it again.
    return outcome === 'untouched' || (outcome === 'deferred' && reason?.code === 'RUN_WAS_RESET');
  });
}

/** Until no converge is open: a wave must not run beside one that was stopped. */
export async function untilShardsClosed(run: RolloutRun): Promise<void> {
  await condition(() => openConverges(run).length === 0 || run.stop !== undefined);
}

/** True once a person asked for it, a stage has failed or the run was reset: no further command is scheduled. */
export function mustStop(run: RolloutRun, stage: OutlineStage): boolean {
  return run.stop !== undefined || run.wasReset || worstBudget(run, stage).verdict === 'fail' || waitsForUplink(run);
}

/** A shard whose own tasks fail answers nobody: an undo goes to all of its sites then, instead of waiting for it. */
async function untilAnswered(open: OpenShard[]): Promise<void> {
  const answered = () => open.every((one) => one.closed || one.commanded !== undefined);
  if (answered()) return;
  await condition(answered, STOP_WITHIN);
}

/** For a pause that came while the shard was being started. */
function holdShard(run: RolloutRun, workflowId: string): void {
  run.shards
    .get(workflowId)
    ?.tell('hold')
    .catch((error: unknown) => log.info('a shard has closed', { error: String(error) }));
}

/** Stops every open shard, and learns from each which sites it has commanded. */
export async function stopShards(run: RolloutRun): Promise<void> {
  // Only converges: a revert that is under way is never taken back, whatever else is asked for.
  const open = openConverges(run);
  for (const candidate of open) {
    candidate.tell('stop').catch((error: unknown) => log.info('a shard has closed', { error: String(error) }));
  }
  await untilAnswered(open);
  for (const candidate of open) {
    if (!candidate.closed && candidate.commanded === undefined) loseSites(run, candidate.input);
    for (const site of candidate.commanded ?? []) run.commanded.set(site.site, site);
  }
}

const LET_GO_WITHIN = '10s';

/** Ends the observers too: each says, if it can, how far its site is. */
export async function letGoOfShards(run: RolloutRun): Promise<void> {
  const open = openConverges(run);
  for (const { workflowId } of open) void cancelShard(workflowId);
  await condition(() => open.every((shard) => shard.closed), LET_GO_WITHIN);
}

function cancelShard(workflowId: string): Promise<void> {
  return getExternalWorkflowHandle(workflowId)
    .cancel()
    .catch((closed: unknown) => log.info('the shard has closed meanwhile', { closed: String(closed) }));
}

/** Cancelled again for as long as it runs: a run that has just continued as new knows nothing of a cancel of the one before. */
export async function endShard(workflowId: string): Promise<void> {
  for (let pause = 1_000; ; pause = Math.min(2 * pause, 60_000)) {
    await cancelShard(workflowId);
    if ((await patient.awaitClosed(workflowId)) !== false) return;
    await sleep(pause);
  }
}

export function shardInput(
  run: RolloutRun,
  outline: PlanOutline,
  stage: OutlineStage,
  part: { wave: number; shard: number; sites: ShardInput['sites']; concurrency: number },
): ShardInput {
  const links = Object.fromEntries(
    [...new Set(part.sites.map((site) => site.link))].flatMap((name) => {
      const link = outline.links[name];
      return link ? [[name, link]] : [];
    }),
  );
  return {
    workflowId: run.identity.workflowId,
    firstRunId: run.identity.firstRunId,
    label: outline.label,
    planDigest: outline.planDigest,
    release: outline.release,
    verb: 'converge',
    generation: outline.generation,
    try: 1,
    ...triesOf(run, part.sites),
    run: { runId: run.identity.runId, continuation: run.identity.continuation },
    stage: stage.name,
    settleWithin: stage.settleWithin,
    links,
    ...part,
  };
}

function triesOf(run: RolloutRun, sites: ShardInput['sites']): Pick<ShardInput, 'tries'> {
  const tries = sites.flatMap(({ id }) => {
    const number = run.tries.get(id);
    return number === undefined ? [] : [[id, number] as const];
  });
  return tries.length === 0 ? {} : { tries: Object.fromEntries(tries) };
}

export type ShardHandle = ChildWorkflowHandle<typeof shard>;

/** A shard of the same id can only be left from a run that was reset: it is cancelled, and waited for (design §4). */
export async function startShard(
  run: RolloutRun,
  input: ShardInput,
  workflowId: string,
  parentClosePolicy: ParentClosePolicy = ParentClosePolicy.TERMINATE,
): Promise<ShardHandle> {
  const words = `${input.verb} ${input.release.stream}@${input.release.version}: ${input.sites.length} sites of ${input.stage}`;
  for (;;) {
    try {
      const handle = await startChild(shard, { workflowId, args: [input], parentClosePolicy, staticSummary: words });
      run.shards.set(workflowId, openShard(run, handle, workflowId, input));
      return handle;
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      await endShard(workflowId);
    }
  }
}

function openShard(run: RolloutRun, handle: ShardHandle, workflowId: string, input: ShardInput): OpenShard {
  const signals = { stop: stopSignal, hold: holdSignal, goOn: goOnSignal };
  // Signals are handled before a start that came in the same workflow task: the shard may have spoken already.
  const unheard = run.unheardEarly.get(workflowId) ?? [];
  run.unheardEarly.delete(workflowId);
  return {
    workflowId,
    input,
    closed: false,
    unheard,
    tell: (what) => handle.signal(signals[what]),
    hear: (sites) => handle.signal(heardSignal, sites),
  };
}

/** Takes in how the shard ended. */
export async function watchShard(run: RolloutRun, handle: ShardHandle): Promise<ShardEnd | undefined> {
  const open = run.shards.get(handle.workflowId);
  try {
    const end = await handle.result();
    for (const outcome of end.outcomes) takeOutcome(run, outcome);
    for (const site of end.commanded) run.commanded.set(site.site, site);
    return end;
  } catch (error) {
    note(run, 'shard-lost', { shard: handle.workflowId, why: String(error) });
    // The results that the lost shard had recorded, and would have told at its end.
    if (patched('lost-shard-is-read')) await takeKnown(run);
    if (open) loseSites(run, open.input);
    return undefined;
  } finally {
    if (open) open.closed = true;
    run.dirty = true;
  }
}
