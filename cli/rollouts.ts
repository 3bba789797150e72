/** From what a person calls a rollout to the rollout: in the registry, or with no access to it by asking Temporal. */
import { MistakeError, WorldError } from '../policies/model/failure.js';
import type { RolloutStatus } from '../policies/model/rollout.js';
import type { Registry } from '../records/registry/registry.js';
import type { Context } from './context.js';
import { suggestions } from './nearest.js';
import type { OpenTemporal } from './temporal.js';

export interface FoundRollout {
  rollout: RolloutStatus;
  /** Undefined: there is no access to the registry here, and only what the workflow itself knows can be shown. */
  registry?: Registry;
}

/** How long a query may take; it needs a live control worker. */
const ANSWER_WITHIN = 10_000;

/**
 * By id, first run id, workflow id, or stream: the running one, else the latest.
 * Throws MistakeError ROLLOUT_NOT_FOUND or ROLLOUT_AMBIGUOUS.
 */
export async function findRollout(context: Context, reference: string): Promise<FoundRollout> {
  const registry = await context.registryIfHere();
  if (!registry) return { rollout: await findInTemporal(await context.temporal(), reference) };
  const running = await registry.rollouts({ stream: reference, running: true });
  if (running.length > 1) throw ambiguous(reference, running);
  const rollout = running[0] ?? (await registry.findRollout(reference));
  if (rollout) return { rollout, registry };
  const known = await registry.rollouts({ limit: 500 });
  throw notFound(reference, known);
}

/** The one to act on: as above, but a stream means its running rollout and never one that is over. */
export async function findRunningRollout(context: Context, reference: string): Promise<FoundRollout> {
  const found = await findRollout(context, reference);
  if (found.rollout.state !== 'sealed') return found;
  const { label, outcome = 'over' } = found.rollout;
  throw new MistakeError(
    'NOTHING_RUNNING',
    `expected a running rollout, got ${label}, which is sealed as ${outcome}; see foothold status ${label}`,
  );
}

function notFound(reference: string, known: RolloutStatus[]): MistakeError {
  const names = known.flatMap((rollout) => [rollout.label, rollout.stream]);
  return new MistakeError(
    'ROLLOUT_NOT_FOUND',
    `expected the id or the stream of a rollout, got ${reference}`,
    suggestions(reference, names, 'rollout'),
  );
}

function ambiguous(reference: string, running: { label: string; state: string }[]): MistakeError {
  return new MistakeError(
    'ROLLOUT_AMBIGUOUS',
    `expected one running rollout of ${reference}, got ${running.length}; name one by its id`,
    running.map((rollout) => `${rollout.label} (${rollout.state})`),
  );
}

async function findInTemporal(temporal: OpenTemporal, reference: string): Promise<RolloutStatus> {
  const ids = await workflowIds(temporal, reference);
  if (ids.length > 1)
    throw ambiguous(
      reference,
      ids.map((id) => ({ label: id, state: 'running' })),
    );
  const status = await queryStatus(temporal, ids[0] ?? reference);
  if (status === 'unknown workflow') {
    throw new MistakeError('ROLLOUT_NOT_FOUND', `expected the id or the stream of a rollout, got ${reference}`, [
      'there is no access to the registry here, so only Temporal was asked',
    ]);
  }
  return status;
}

/** Workflow ids of running rollouts that a label or a stream means; none where the search attributes are missing. */
async function workflowIds({ client }: OpenTemporal, reference: string): Promise<string[]> {
  const quoted = `'${reference.replaceAll(/['\\]/g, '')}'`;
  const query = `WorkflowType = 'rollout' AND (FootholdRollout = ${quoted} OR (FootholdStream = ${quoted} AND ExecutionStatus = 'Running'))`;
  const ids = new Set<string>();
  try {
    for await (const { workflowId } of client.workflow.list({ query, pageSize: 10 })) {
      ids.add(workflowId);
      if (ids.size > 5) break;
    }
  } catch (error) {
    if ((error as { code?: unknown }).code !== INVALID_ARGUMENT && !isInvalidQuery(error)) throw unreachable(error);
  }
  return [...ids];
}

const INVALID_ARGUMENT = 3;
function isInvalidQuery(error: unknown): boolean {
  const cause = error instanceof Error ? (error.cause as { code?: unknown } | undefined) : undefined;
  return cause?.code === INVALID_ARGUMENT;
}

/** Throws WorldError when no worker answers in time, or Temporal goes away. */
export async function queryStatus(
  { client, connection }: OpenTemporal,
  workflowId: string,
  within = ANSWER_WITHIN,
): Promise<RolloutStatus | 'unknown workflow'> {
  const { QueryNotRegisteredError, WorkflowNotFoundError } = await import('@temporalio/client');
  try {
    const handle = client.workflow.getHandle(workflowId);
    const status = await connection.withDeadline(Date.now() + within, () =>
      handle.query<RolloutStatus | null>('status'),
    );
    if (status) return status;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError || error instanceof QueryNotRegisteredError) return 'unknown workflow';
    throw unreachable(
      error,
      `expected the status of ${workflowId}, got no answer: is a control worker running (foothold worker run)?`,
    );
  }
  throw new WorldError('WORKER_ABSENT', `expected the status of ${workflowId}, got none yet: it has only just begun`);
}

export function unreachable(error: unknown, message = 'expected Temporal to answer, it did not'): WorldError {
  return new WorldError('TEMPORAL_UNREACHABLE', message, { cause: error });
}
