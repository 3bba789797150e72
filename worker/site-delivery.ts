/**
 * What a site says unasked (design §4): one signal with start to its inbox, on connect and for events that no
 * observer carries. Kept at the site until a command acknowledges it; the centre counts it once.
 */
import { WorkflowFailedError, WorkflowNotFoundError, type Client } from '@temporalio/client';
import type { Asker } from '../activities/site/converge.js';
import { LINK_TIMERS, retryPause, type LinkTimers } from '../policies/model/link.js';
import type { SiteDoor } from '../policies/model/site-door.js';
import type { SiteEvent } from '../policies/model/report.js';
import type { OutboxAcks, OutboxEntry, SparePriority } from '../policies/model/telemetry.js';
import { planPage } from '../policies/site/plan-outbox.js';
import { TASK_QUEUE } from '../policies/model/rollout.js';
import { causeOf, pause } from './connection.js';
import type { Log } from './log.js';

/** Through which sequence this connection has carried the journal, and each priority of the outbox. */
interface Sent extends Record<SparePriority, number> {
  through: number;
}

const PAGE = 100;
const MOST = 5_000;

/** Whether there is something to deliver. */
export class Due {
  is = true;
  wake: (() => void) | undefined;

  set(): void {
    this.is = true;
    this.wake?.();
  }
}

export interface DeliveryOptions {
  site: string;
  door: SiteDoor;
  /** Read for every call: a renewed certificate comes with another one. */
  client: Client;
  log: Log;
  timers?: LinkTimers;
  /** Instead of that of `timers`; a quarter more or less, so that a fleet does not speak at once. */
  reportEvery?: number;
  /** For who else may find that there is something to deliver. */
  due?: Due;
  /** Hears of every answer of the centre, and of every call that had none, with its cause. */
  onEcho?: (failure?: string) => void;
}

/** What is due is told by the monotonic clock: a wall clock that is set back would keep a site silent for as long. */
const elapsed = () => performance.now();

/** Delivers until `signal` is aborted; never throws. */
export async function keepDelivering(options: DeliveryOptions, signal: AbortSignal): Promise<void> {
  const { door, log, timers = LINK_TIMERS.fibre, due = new Due() } = options;
  const sent: Sent = { through: 0, performance: 0, routine: 0 };
  let failures = 0;
  const stopListening = door.onEvent((event) => {
    if (!door.observed(event)) due.set();
  });
  let contactAt = elapsed() + timers.contactEvery;
  let reportAt = nextReport(options);
  while (!signal.aborted) {
    try {
      if (due.is || elapsed() >= reportAt) {
        due.is = false;
        if (await deliver(options, sent)) due.set();
        reportAt = nextReport(options);
      } else if (elapsed() >= contactAt) {
        await echo(options);
      } else {
        await new Promise<void>((resolve) => {
          due.wake = resolve;
          void pause(Math.min(contactAt, reportAt) - elapsed(), signal).then(resolve);
        });
        await pause(timers.gather, signal);
        continue;
      }
      door.contacted(Date.now());
      options.onEcho?.();
      failures = 0;
      contactAt = elapsed() + timers.contactEvery;
    } catch (error) {
      due.is = true;
      failures += 1;
      const cause = wholeCause(error);
      options.onEcho?.(`the centre did not answer: ${cause}`);
      log.warn({ cause }, 'the centre did not take the report');
      await pause(retryPause(timers, failures, Math.random()), signal);
    }
  }
  stopListening();
}

const HEARD_WITHIN_MS = 5_000;
/** Of a shard that has taken the result, is about to, or is followed by a run that asks again. */
const HEARS = new Set<string>(['RUNNING', 'PAUSED', 'COMPLETED', 'CONTINUED_AS_NEW']);

/**
 * A result that comes when its shard has ended and no heartbeat has told so yet goes nowhere: Temporal refuses it, of which
 * the SDK tells its log alone, and the event was one that a result would carry. The same on every link: one read weighs
 * less than the heartbeats of a command, and a thin link would tell an hour later.
 */
export async function deliverIfUnheard(options: DeliveryOptions, asker: Asker, signal: AbortSignal): Promise<void> {
  await pause(HEARD_WITHIN_MS, signal);
  if (signal.aborted) return;
  const { workflowId, runId } = asker;
  try {
    const shard = options.client.workflow.getHandle(workflowId, runId);
    if (HEARS.has((await echoed(options, () => shard.describe())).status.name)) return;
  } catch (error) {
    options.log.debug({ cause: causeOf(error) }, 'whether the result was heard could not be asked; it is told again');
  }
  options.due?.set();
}

/** A connection over which nothing comes back looks open for hours: only an answer in time is one. */
function echoed<T>({ client, timers = LINK_TIMERS.fibre }: DeliveryOptions, ask: () => Promise<T>): Promise<T> {
  return client.withDeadline(Date.now() + timers.echoWithin, ask);
}

/** Asked of the namespace: a server in which it is missing answers everything else, and takes no report. */
function echo(options: DeliveryOptions): Promise<unknown> {
  const { client } = options;
  const { namespace } = client.options;
  return echoed(options, () => client.workflowService.describeNamespace({ namespace }));
}

/** The SDK's own words say what could not be done; why is below them. */
function wholeCause(error: unknown): string {
  const below = error instanceof Error ? error.cause : undefined;
  return below instanceof Error ? `${causeOf(error)}: ${below.message}` : causeOf(error);
}

function nextReport({ timers = LINK_TIMERS.fibre, reportEvery = timers.reportEvery }: DeliveryOptions): number {
  return elapsed() + reportEvery * (0.75 + Math.random() / 2);
}

/**
 * What is unacknowledged and was not carried over this connection yet; the report also when there is nothing. True: there
 * may be more than one delivery takes, and the rest is due.
 */
async function deliver(options: DeliveryOptions, sent: Sent): Promise<boolean> {
  const { site, door, client } = options;
  await learnAcks(options, sent);
  const events = door.unacknowledged(MOST, sent.through);
  const isCut = events.length === MOST;
  const report = await door.report();
  for (let pages = 0; pages <= MOST / PAGE; pages++) {
    const { page, entries } = nextPage(door, events, sent);
    if (pages > 0 && page.length === 0 && entries.length === 0) return isCut;
    const outbox = entries.length > 0 && door.outbox ? { outbox: door.outbox.page(entries) } : {};
    await echoed(options, () =>
      client.workflow.signalWithStart('inbox', {
        workflowId: `inbox/${site}`,
        taskQueue: TASK_QUEUE,
        args: [site],
        signal: 'deliver',
        signalArgs: [{ report, events: page, ...outbox }],
        staticSummary: `what site ${site} reports`,
      }),
    );
    events.splice(0, page.length);
    sent.through = page.at(-1)?.sequence ?? sent.through;
    for (const { priority, sequence } of entries) sent[priority] = Math.max(sent[priority], sequence);
  }
  return true;
}

/** The journal in its own order: its mark is one number. What may be dropped has marks of its own, and holds nothing up. */
function nextPage(door: SiteDoor, events: SiteEvent[], sent: Sent): { page: SiteEvent[]; entries: OutboxEntry[] } {
  const waiting = (priority: SparePriority) => door.outbox?.waiting(priority, sent[priority], PAGE) ?? [];
  const [performance, routine] = [waiting('performance'), waiting('routine')];
  const counts = { safety: events.length, performance: performance.length, routine: routine.length };
  const plan = planPage(counts, PAGE);
  const entries = [...performance.slice(0, plan.performance), ...routine.slice(0, plan.routine)];
  return { page: events.slice(0, plan.safety), entries };
}

/** The inbox that took the last entries ends with what is recorded of them. */
async function learnAcks(options: DeliveryOptions, sent: Sent): Promise<void> {
  const { site, door, client, log } = options;
  if (door.outbox === undefined || sent.performance + sent.routine === 0) return;
  try {
    const inbox = client.workflow.getHandle(`inbox/${site}`);
    const { status } = await echoed(options, () => inbox.describe());
    if (status.name !== 'COMPLETED') return;
    const acks = (await echoed(options, () => inbox.result())) as OutboxAcks | undefined | null;
    if (acks) door.outbox.acknowledge(acks);
  } catch (error) {
    // Who did not answer here will not take the report either.
    if (!(error instanceof WorkflowNotFoundError || error instanceof WorkflowFailedError)) throw error;
    log.debug({ cause: causeOf(error) }, 'what the centre has recorded could not be asked');
  }
}
