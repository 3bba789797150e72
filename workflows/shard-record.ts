/** Results go to registry and evidence in pages of up to 50: no activity per site except converge (design §4). */
import { condition } from '@temporalio/workflow';
import type { Recorded, ShardRef } from '../activities/contract.js';
import type { Settled } from '../policies/model/command.js';
import { bytesOf, leading } from '../policies/site/plan-outbox.js';
import { patient } from './proxies.js';
import { dispositionOf, tellRollout, type ShardRun } from './shard-run.js';

/**
 * In bytes no more than Temporal takes, which is 2 MiB with what is around it: a page above would end the shard. Not less than that:
 * what was recorded as one page must be one in a replay.
 */
const PAGE = { entries: 50, bytes: 2 * 1024 * 1024 - 2_048 };
/**
 * How long the first of a page waits for others. Measured with sites that end one by one: a record for each costs more
 * events than the sites do.
 */
const GATHER = '500ms';

/** Records what comes in until the shard closes; retried for ever by its activities. */
export async function keepRecording(run: ShardRun): Promise<void> {
  for (;;) {
    await condition(() => waiting(run) || run.closing);
    if (!waiting(run)) return;
    await condition(() => isDue(run), GATHER);
    const results = firstPage(run.unrecorded);
    const dispositions = run.unrecordedDispositions.slice(0, PAGE.entries);
    if (results.length > 0) takeBack(run, results, await patient.recordSettled(refOf(run), results));
    if (dispositions.length > 0) await patient.recordDispositions(refOf(run), dispositions);
    // Taken off only once recorded, so that their number tells how far recording lags behind.
    run.unrecorded.splice(0, results.length);
    run.unrecordedDispositions.splice(0, dispositions.length);
  }
}

/** Each result carries what its site has journaled. */
function firstPage(unrecorded: Settled[]): Settled[] {
  const results = unrecorded.slice(0, PAGE.entries);
  return results.slice(0, leading(results.map(bytesOf), PAGE));
}

/**
 * An answer of an agent that does not speak for its site is none, whatever it says: the site is owed as before, for the
 * rollout as in the registry. Told before the shard ends, so that nothing is promoted upon it.
 */
function takeBack(run: ShardRun, results: Settled[], recorded: Recorded | null): void {
  if (run.input.verb !== 'converge') return;
  for (const { site, commandId, reason } of recorded?.disbelieved ?? []) {
    const answer = results.find((one) => one.kind === 'result' && one.commandId === commandId);
    if (answer?.kind !== 'result') continue;
    const outcome = { ...dispositionOf(run, site, 'owed'), reason, state: null, at: answer.result.at };
    run.outcomes.set(site, outcome);
    tellRollout(run, { outcomes: [outcome] });
  }
}

export async function finishRecording(run: ShardRun, recording: Promise<void>): Promise<void> {
  run.closing = true;
  await recording;
}

/** Until nothing lies unrecorded: what a run leaves behind it must not have to tell again. */
export async function untilRecorded(run: ShardRun): Promise<void> {
  await condition(() => isRecorded(run));
}

export function isRecorded(run: ShardRun): boolean {
  return !waiting(run);
}

/** Nobody waits for what cannot come any more. */
function isDue(run: ShardRun): boolean {
  const full = run.unrecorded.length >= PAGE.entries || run.unrecordedDispositions.length >= PAGE.entries;
  return full || run.closing || run.observing.size === 0;
}

function waiting(run: ShardRun): boolean {
  return run.unrecorded.length > 0 || run.unrecordedDispositions.length > 0;
}

function refOf(run: ShardRun): ShardRef {
  const { firstRunId, stage, wave } = run.input;
  return { firstRunId, stage, wave };
}
