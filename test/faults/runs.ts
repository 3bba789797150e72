/** What Temporal keeps of a seed: its workflow executions, and what its shards scheduled and learned. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Client, WorkflowFailedError, WorkflowNotFoundError } from '@temporalio/client';
import type { Page, Result } from '../../policies/model/command.js';
import type { ShardInput } from '../../policies/model/outline.js';
import type { Run, ShardHistory } from './facts.js';

/** All runs of the stream: its rollouts, their shards, its lock, its reconciler, the inboxes of its sites. */
export async function listRuns(client: Client, stream: string, which = ''): Promise<Run[]> {
  const ids = [`${stream}-`, `foothold/stream/${stream}`, `foothold/catch-up/${stream}`, `inbox/${stream}-`];
  const named = ids.map((id) => `WorkflowId STARTS_WITH "${id}"`).join(' OR ');
  const own = new RegExp(`(^|/)${stream}(-|/|$)`);
  const runs: Run[] = [];
  for await (const run of client.workflow.list({ query: `(${named})${which}`, pageSize: 1_000 })) {
    if (!own.test(run.workflowId)) continue;
    runs.push({
      workflowId: run.workflowId,
      type: run.type,
      runId: run.runId,
      running: run.status.name === 'RUNNING',
      continued: run.status.name === 'CONTINUED_AS_NEW',
      startedAt: run.startTime.getTime(),
      ...(run.closeTime ? { closedAt: run.closeTime.getTime() } : {}),
    });
  }
  return runs;
}

const TRIES = 20;

/** A server that is slow to answer has not said that it does not run. */
export async function isRunning(client: Client, workflowId: string): Promise<boolean> {
  for (let tries = 1; ; tries += 1) {
    try {
      return (await client.workflow.getHandle(workflowId).describe()).status.name === 'RUNNING';
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return false;
      if (tries === TRIES) throw error;
      await sleep(500);
    }
  }
}

/** Until a workflow has closed for good: one long poll, where asking again and again would load the server. */
export class Closing {
  private over = false;

  constructor(
    private readonly client: Client,
    private readonly workflowId: string,
    /** For as long as that a run that has ended may be reset. */
    private readonly resetWithinMs = 0,
  ) {
    this.watch().catch(() => undefined);
  }

  isOver(): boolean {
    return this.over;
  }

  /** A run that was reset is closed, and another one runs. */
  private async watch(): Promise<void> {
    do {
      await this.untilAnswered();
      await sleep(this.resetWithinMs);
    } while (await isRunning(this.client, this.workflowId));
    this.over = true;
  }

  private async untilAnswered(): Promise<void> {
    try {
      await this.client.workflow.getHandle(this.workflowId).result();
    } catch (error) {
      const isAnswer = error instanceof WorkflowFailedError || error instanceof WorkflowNotFoundError;
      if (!isAnswer) await sleep(500);
    }
  }
}

type Events = NonNullable<Awaited<ReturnType<ReturnType<Client['workflow']['getHandle']>['fetchHistory']>>['events']>;
type Payloads = { payloads?: { data?: Uint8Array | null }[] | null } | null | undefined;

/** Of the shards that converge. */
export async function readShards(client: Client, runs: Run[]): Promise<ShardHistory[]> {
  const histories: ShardHistory[] = [];
  for (const { workflowId, runId, type, startedAt } of runs) {
    if (type !== 'shard' || workflowId.includes('/revert/')) continue;
    const { events } = await client.workflow.getHandle(workflowId, runId).fetchHistory();
    const history = events && shardHistory(workflowId, startedAt, events);
    if (history) histories.push(history);
  }
  return histories;
}

function shardHistory(workflowId: string, startedAt: number, events: Events): ShardHistory | undefined {
  const [input] = decode(events[0]?.workflowExecutionStartedEventAttributes?.input) as [ShardInput?];
  if (input?.verb !== 'converge') return undefined;
  const { stage, wave, firstRunId } = input;
  const sites = new Map<string, string>();
  const steps: ShardHistory['steps'] = [];
  for (const event of events) {
    const scheduled = event.activityTaskScheduledEventAttributes;
    if (scheduled?.activityType?.name === 'converge') {
      const [page] = decode(scheduled.input) as [Page?];
      const { site = '', commandId = '' } = page?.commands[0] ?? {};
      sites.set(String(event.eventId), site);
      steps.push({ kind: 'scheduled', at: timeOf(event), site, commandId });
    }
    const completed = event.activityTaskCompletedEventAttributes;
    const site = sites.get(String(completed?.scheduledEventId));
    if (!completed || site === undefined) continue;
    const [settled] = decode(completed.result) as [{ kind: string; result: Result }[]?];
    for (const one of settled ?? [])
      if (one.kind === 'result') steps.push({ kind: 'settled', at: timeOf(event), site, result: one.result });
  }
  return { workflowId, stage, wave, firstRunId, startedAt, steps };
}

function timeOf({ eventTime }: Events[number]): number {
  return Number(eventTime?.seconds ?? 0) * 1_000 + Math.floor((eventTime?.nanos ?? 0) / 1_000_000);
}

function decode(payloads: Payloads): unknown[] {
  return (payloads?.payloads ?? []).map(({ data }) => {
    const text = Buffer.from(data ?? []).toString('utf8');
    return text === '' ? undefined : (JSON.parse(text) as unknown);
  });
}
