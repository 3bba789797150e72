/** Facts that only Temporal knows: who holds a stream's lock, and whether a shard has closed. */
import { Context } from '@temporalio/activity';
import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import type { Namespace } from '../../records/registry/registry.js';
import { hasEnded, lockIdOf } from '../../policies/model/rollout.js';
import type { LockHolder } from '../contract.js';
import type { ControlDeps } from './deps.js';

const POLL_MS = 500;
/** Less than an attempt may take. */
const CLOSES_WITHIN_MS = 5_000;

/**
 * The holder as the lock's memo names it, or null if it is free by now. A workflow under its id that names nobody was
 * started by hand, and keeps everybody out all the same: it is its own holder.
 */
export async function describeLock(client: Client, stream: string): Promise<LockHolder | null> {
  const workflowId = lockIdOf(stream);
  const description = await describeRunning(client, workflowId);
  if (!description) return null;
  const { memo, runId: lockRunId } = description;
  const holder = memo?.['holder'];
  return isHolder(holder) ? { ...holder, lockRunId } : { workflowId, firstRunId: lockRunId, lockRunId };
}

/** Whether this is what a rollout writes into the memo of its lock. */
export function isHolder(memo: unknown): memo is LockHolder {
  const { workflowId, firstRunId } = (memo ?? {}) as Partial<LockHolder>;
  return typeof workflowId === 'string' && typeof firstRunId === 'string';
}

/** The same with the label that people know the holder by, once it has one. */
export async function describeHolder({ client, registry }: ControlDeps, stream: string): Promise<LockHolder | null> {
  const holder = await describeLock(client, stream);
  if (!holder) return null;
  const known = await registry.findRollout(holder.firstRunId);
  return known ? { ...holder, label: known.label } : holder;
}

/** Whether no run of the workflow is open: true as soon as that is so, false if another run goes on, or one after `within` ms. */
export async function awaitClosed(client: Client, workflowId: string, within = CLOSES_WITHIN_MS): Promise<boolean> {
  const until = Date.now() + within;
  for (let first: string | undefined; ;) {
    const running = await describeRunning(client, workflowId);
    if (!running) return true;
    first ??= running.runId;
    if (running.runId !== first || Date.now() > until) return false;
    await Context.current().sleep(POLL_MS);
  }
}

/** Asked anew each time: a database of Temporal that was made anew has other namespaces of the same names. */
export async function describeNamespace(client: Client): Promise<Namespace> {
  const name = client.options.namespace;
  const { namespaceInfo } = await client.workflowService.describeNamespace({ namespace: name });
  const id = namespaceInfo?.id;
  if (!id) throw new Error(`Temporal did not say the id of its namespace ${name}`);
  return { name, id };
}

/** False where there is none that is open. */
export async function signalIfOpen(
  client: Client,
  workflowId: string,
  signal: string,
  ...args: unknown[]
): Promise<boolean> {
  return ifOpen(() => client.workflow.getHandle(workflowId).signal(signal, ...args));
}

/** False: what `work` was for has closed, or never was. */
export async function ifOpen(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}

/** Undefined where there is none that is open. */
export async function describeRunning(client: Client, workflowId: string) {
  try {
    const description = await client.workflow.getHandle(workflowId).describe();
    return hasEnded(description.status.name) ? undefined : description;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}
