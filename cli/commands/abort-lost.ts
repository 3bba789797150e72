/**
 * `abort --lost`: a person's word that a rollout is over which Temporal has lost. Nothing is undone: there is nobody left who
 * could. The sweeper seals it, as it does with one that was terminated, and asks Temporal once more before it does.
 */
import type { Client } from '@temporalio/client';
import { MistakeError, WorldError } from '../../policies/model/failure.js';
import { lockIdOf, TASK_QUEUE } from '../../policies/model/rollout.js';
import type { Registry, UnsealedRollout } from '../../records/registry/registry.js';
import { done, type Answer } from '../answer.js';
import type { Context } from '../context.js';
import { findRunningRollout, unreachable } from '../rollouts.js';
import type { OpenTemporal } from '../temporal.js';
import { readable } from './owed.js';

/** `{ rollout, lost, outcome, reason }`; with `--dry-run` `{ rollout, lost, dryRun }`. */
export async function abortLost(
  context: Context,
  reference: string,
  word: { by: string; reason: string },
  dryRun: boolean,
): Promise<Answer> {
  const registry = await readable(context);
  const rollout = await unsealed(context, registry, reference);
  const temporal = await context.temporal();
  const { label, stream, workflowId, firstRunId } = rollout;
  await refuseKnown(temporal, rollout);
  const where = `${temporal.target.address} (namespace ${temporal.target.namespace})`;
  if (dryRun) {
    const text = `would give up ${label}: ${workflowId} is not at ${where}\n${hazard(rollout)}`;
    return done({ rollout: label, lost: { workflowId, firstRunId }, dryRun: true }, text);
  }
  const { terminated, failed } = await giveUp(temporal, rollout, word);
  if (!terminated.includes(label)) {
    const why = failed.filter((line) => line.startsWith(`${label}: `)).join('; ');
    if (why !== '') throw new WorldError('TEMPORAL_UNREACHABLE', `${label} was not sealed: ${why}`);
    throw known(label, 'Temporal knew it, or it was sealed meanwhile, when the sweeper asked');
  }
  const sealed = await registry.findRollout(firstRunId);
  const { outcome, reason } = sealed ?? {};
  const text = `sealed ${label} as ${outcome ?? 'terminated'}: ${reason?.detail ?? ''}\nnext: foothold owed ${stream}`;
  return done({ rollout: label, lost: { workflowId, firstRunId }, outcome, reason }, text);
}

/** Also one that has told nothing yet. Throws MistakeError ROLLOUT_NOT_FOUND, ROLLOUT_AMBIGUOUS or NOTHING_RUNNING. */
async function unsealed(context: Context, registry: Registry, reference: string): Promise<UnsealedRollout> {
  const all = await registry.unsealedRollouts();
  const named = all.filter((one) => [one.label, one.firstRunId, one.workflowId].includes(reference));
  const meant = named.length > 0 ? named : all.filter(({ stream }) => stream === reference);
  const [only] = meant;
  if (only && meant.length === 1) return only;
  if (meant.length > 1) {
    const message = `expected one running rollout, got ${meant.length} of ${reference}; name one by its id`;
    throw new MistakeError(
      'ROLLOUT_AMBIGUOUS',
      message,
      meant.map(({ label }) => label),
    );
  }
  await findRunningRollout(context, reference);
  throw new MistakeError('NOTHING_RUNNING', `expected a rollout that is not sealed, got ${reference}`);
}

/** Throws MistakeError NOT_LOST if Temporal has anything of it, WorldError if it cannot say. */
async function refuseKnown({ client }: OpenTemporal, rollout: UnsealedRollout): Promise<void> {
  const { label, stream, workflowId, firstRunId } = rollout;
  const latest = await describe(client, workflowId);
  const own = latest?.firstRunId === firstRunId ? latest : await describe(client, workflowId, firstRunId);
  if (own) throw known(label, `Temporal has its workflow ${workflowId}, ${own.status}`);
  const lock = await describe(client, lockIdOf(stream));
  if (lock?.status === 'RUNNING' && lock.holder === firstRunId) {
    throw known(label, `Temporal has its lock ${lockIdOf(stream)}, and so something of it`);
  }
}

function known(label: string, what: string): MistakeError {
  const message = `expected a rollout that Temporal has lost: ${what}`;
  return new MistakeError('NOT_LOST', message, [
    `while it runs: foothold abort ${label} --reason …`,
    'one that has ended in Temporal the sweeper seals within a minute',
  ]);
}

interface Described {
  firstRunId: string;
  status: string;
  /** Of a lock: the first run id of the rollout that has it. */
  holder?: string | undefined;
}

async function describe(client: Client, workflowId: string, runId?: string): Promise<Described | undefined> {
  const { WorkflowNotFoundError } = await import('@temporalio/client');
  try {
    const { raw, status, memo, runId: latest } = await client.workflow.getHandle(workflowId, runId).describe();
    const { firstRunId: holder } = (memo?.['holder'] ?? {}) as { firstRunId?: string };
    return { firstRunId: raw.workflowExecutionInfo?.firstRunId ?? latest, status: status.name, holder };
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw unreachable(error);
  }
}

/** Temporal ends it then, so that no word is obeyed that its person has given up waiting for. */
const ANSWER_WITHIN = 30_000;

interface Swept {
  terminated: string[];
  failed: string[];
}

async function giveUp(
  { client }: OpenTemporal,
  { label }: UnsealedRollout,
  word: { by: string; reason: string },
): Promise<Swept> {
  try {
    return (await client.workflow.execute('sweep', {
      workflowId: `foothold/give-up/${label}`,
      taskQueue: TASK_QUEUE,
      args: [{ giveUp: [label], ...word }],
      workflowExecutionTimeout: ANSWER_WITHIN,
      staticSummary: `gives up ${label}, by ${word.by}`,
    })) as Swept;
  } catch (cause) {
    const message = `expected ${label} to be sealed within ${ANSWER_WITHIN / 1000} s, got no answer: is a control worker running (foothold worker run)? Nothing is left behind; ask again`;
    throw new WorldError('WORKER_ABSENT', message, { cause });
  }
}

function hazard({ namespace }: UnsealedRollout): string {
  const was = namespace ? `It ran in the namespace ${namespace.name} with the id ${namespace.id}. ` : '';
  return `${was}If a worker ever reaches the Temporal that has it, two owners command its sites`;
}
