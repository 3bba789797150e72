/**
 * A run that was reset (design §4, measured): the run that was thrown away may have commanded sites. Nobody is commanded
 * until a person has decided, by promote, that the rollout goes on in this run; an undo goes to all that is known.
 */
import { condition, patched } from '@temporalio/workflow';
import type { PlanOutline } from '../policies/model/outline.js';
import type { UndoScope } from '../policies/model/rollout.js';
import type { Reason } from '../policies/model/verdict.js';
import { takeKnown } from './rollout-carry.js';
import { retakeLock } from './rollout-lock.js';
import { untilRecorded } from './rollout-record.js';
import { note, openConverges, setStage, type RolloutRun } from './rollout-run.js';
import { patient } from './proxies.js';
import { waitForPerson } from './wait.js';
import { endShard } from './wave.js';

/**
 * Takes in what the registry knows of the lost run. Part of recording: whoever waits for that has it. A run that is reset to
 * where the run before it had learned of a reset learns anew: that one may have been adopted, and have commanded sites.
 */
export async function learnOfReset(run: RolloutRun, askedBy: string | undefined): Promise<void> {
  if (run.wasReset && run.learnedBy === askedBy) return;
  run.wasReset = true;
  run.learnedBy = askedBy;
  await endShards(run);
  const { undos, reverting, ...taken } = await takeKnown(run);
  note(run, 'reset', { ...taken, ...(undos.length > 0 && { undos }) });
  // Of what the activities of before had told nothing of, histories must not decide otherwise.
  if (askedBy !== undefined) beginCommanded(run);
  resumeUndo(run, undos, reverting);
}

/** A stage of which the lost run has commanded sites is begun: its failures count, and an undo of all that is begun goes to it. */
function beginCommanded(run: RolloutRun): void {
  for (const { name, waves } of run.outline?.stages ?? []) {
    const wave = waves.findLastIndex(({ sites }) => sites.some(({ id }) => run.commanded.has(id)));
    if (wave !== -1 && run.stages[name] === undefined) setStage(run, name, { wave: wave + 1, state: 'running' });
  }
}

/** An undo that was begun is taken back by nobody, a reset included: sites that have reverted take nothing from this rollout any more. */
function resumeUndo(run: RolloutRun, undos: UndoScope[], reverting: string[]): void {
  run.begunUndos = undos;
  // Whoever is undoing already takes them in: its own may be among them, and reverts that it has issued itself.
  if (run.state === 'reverting' || (run.stop && run.stop.verb !== 'supersede')) return;
  const untold = reverting.filter((stage) => !undos.some(({ stages }) => stages.includes(stage)));
  if (untold.length > 0) run.begunUndos = [...undos, untoldUndo(untold)];
  const last = run.begunUndos.at(-1);
  if (!last) return;
  run.stop = { verb: 'abort', by: 'Foothold', reason: 'the run before this one had begun to undo', resumes: last };
}

/** Reverts that were issued while the evidence could not be appended: whatever it was, nothing of it is left undone. */
function untoldUndo(stages: string[]): UndoScope {
  const reason: Reason = { code: 'RUN_WAS_RESET', detail: 'reverts had been issued' };
  return { stages, keepConfirmed: false, block: true, reason };
}

/**
 * Shards that a reset run finds in its history are children of the lost run: measured, they go on, and their end is told
 * here only if they end after the reset. What they have done is in the registry once they are closed.
 */
async function endShards(run: RolloutRun): Promise<void> {
  for (const shard of openConverges(run)) {
    await endShard(shard.workflowId);
    shard.closed = true;
  }
}

/** Waits, changing nothing, until a person adopts this run or stops the rollout. */
export async function waitForAdoption(run: RolloutRun, outline: PlanOutline): Promise<void> {
  const detail = 'another run of this rollout had begun; promote goes on in this one, abort and revert undo both';
  const reason: Reason = { code: 'RUN_WAS_RESET', detail };
  for (let isAdopted = false; !isAdopted;) {
    await untilRecorded(run);
    const { learnedBy } = run;
    await waitForPerson(run, reason, { then: 'stay', owner: outline.strategy.owner }, () => false);
    if (run.stop) return;
    // By what is recorded of the wait's end it is found out whether this run is still the one that waited.
    if (patched('adopted-once-recorded')) await learnOnceMore(run);
    if (run.stop) return;
    isAdopted = run.learnedBy === learnedBy && (await adopt(run));
  }
  run.wasReset = false;
  // The lock may be a child of the lost run, whose end nobody would hear of.
  await run.lock?.release();
  run.lock = await retakeLock(run);
}

/** Reverts that the lost run had issued may have come to the registry since it was asked. */
async function learnOnceMore(run: RolloutRun): Promise<void> {
  await untilRecorded(run);
  if (run.stop) return;
  const { undos, reverting } = await takeKnown(run);
  if (!run.stop) resumeUndo(run, undos, reverting);
}

/**
 * False: it was reset once more. Temporal repeats here what a person had said to the run before, which may have gone on by that
 * word and commanded sites. What it has commanded is learned first, and a person asked again.
 */
async function adopt(run: RolloutRun): Promise<boolean> {
  // An answer that was on its way before must not be taken for a second reset.
  run.adopting = true;
  await condition(() => !run.recording);
  const isAdopted = (await patient.adoptRun(run.identity)) !== false;
  run.adopting = false;
  if (!isAdopted) run.dirty = true;
  return isAdopted;
}
