/**
 * What a site says unasked (design §4): one signal with start to its inbox, on connect and for events that no
 * observer carries. Kept at the site until a command acknowledges it; the centre counts it once.
 */
import { WorkflowFailedError, WorkflowNotFoundError, type Client } from '@temporalio/client';
import type { Asker } from '../activities/site/converge.js';
import { ARRIVAL_BYTES, arrivalsId, inboxId, type Delivery } from '../policies/model/inbox.js';
import { LINK_TIMERS, retryPause, type LinkTimers } from '../policies/model/link.js';
import type { SiteDoor } from '../policies/model/site-door.js';
import type { SiteEvent } from '../policies/model/report.js';
import type { InboxEnd, OutboxEntry, SparePriority } from '../policies/model/telemetry.js';
import { bytesOf, cutPage } from '../policies/site/plan-outbox.js';
import { TASK_QUEUE } from '../policies/model/rollout.js';
import { Carried, type Ending } from './carried.js';
import { causeOf, pause } from './connection.js';
import { Due, elapsed } from './due.js';
import type { Log } from './log.js';

const PAGE = 100;
const MOST = 5_000;

/**
 * Over all connections: how often in a row something was said to the inbox that sites share and not to the own one. Too often, and the own one
 * comes first: a site whose connections are short must not hang on an inbox for whose end it does not ask.
 */
export class Announced {
  inARow = 0;
}
const MOST_ANNOUNCED = 3;

export interface DeliveryOptions {
  site: string;
  door: SiteDoor;
  /** Read for every call: a renewed certificate comes with another one. */
  client: Client;
  log: Log;
  /** As the server named it when the connection was made. */
  namespaceId?: string | undefined;
  timers?: LinkTimers;
  /** Instead of that of `timers`; a quarter more or less, so that a fleet does not speak at once. */
  reportEvery?: number;
  /** For who else may find that there is something to deliver. */
  due?: Due;
  /** Kept from one connection to the next. */
  announced?: Announced;
  /** Hears of every answer of the centre, and of every call that had none, with its cause. */
  onEcho?: (failure?: string) => void;
}

/** Delivers until `signal` is aborted; never throws. */
export async function keepDelivering(options: DeliveryOptions, signal: AbortSignal): Promise<void> {
  const { door, log, timers = LINK_TIMERS.fibre, due = new Due() } = options;
  const sent = new Carried();
  let failures = 0;
  const stopListening = door.onEvent((event) => {
    if (!door.observed(event)) due.set();
  });
  let contactAt = elapsed() + timers.contactEvery;
  let reportAt = nextReport(options);
  // Of its own: a site that has news all the time makes no report besides.
  let lookAt = reportAt;
  const known = { namespaceId: options.namespaceId };
  while (!signal.aborted) {
    try {
      if (due.is || elapsed() >= reportAt) {
        due.is = false;
        const looks = elapsed() >= lookAt;
        if (await deliver(options, sent, looks)) due.set();
        reportAt = nextReport(options);
        if (looks) lookAt = reportAt;
      } else if (elapsed() >= Math.min(contactAt, due.askBy)) {
        const found = await contact(options, due, known);
        if (found !== 'well') due.set();
        if (found === 'lost') lookAt = 0;
      } else {
        await new Promise<void>((resolve) => {
          due.wake = resolve;
          void pause(Math.min(contactAt, due.askBy, reportAt) - elapsed(), signal).then(resolve);
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
      sent.failed();
      // Whatever was away may have come back without what it had taken.
      lookAt = 0;
      failures += 1;
      const cause = wholeCause(error);
      options.onEcho?.(`the centre did not answer: ${cause}`);
      log.warn({ cause }, 'the centre did not take the report');
      await pause(retryPause(timers, failures, Math.random()), signal);
    }
  }
  stopListening();
}

/** `untold`: somebody has not heard what was told. `lost`: the centre may have lost what it had. */
type Found = 'well' | 'untold' | 'lost';

/** Proves the contact: by a question that waits to be asked, else by an echo. The namespace's id is kept in `known`. */
async function contact(
  options: DeliveryOptions,
  due: Due,
  known: Pick<DeliveryOptions, 'namespaceId'>,
): Promise<Found> {
  const asker = due.nextAsked();
  if (asker) return askHeard(options, asker);
  const id = await echo(options);
  const isAnother = known.namespaceId !== undefined && id !== known.namespaceId;
  known.namespaceId = id;
  return isAnother ? 'lost' : 'well';
}

const AT_WORK = new Set<string>(['RUNNING', 'PAUSED']);
/** Of a shard that has taken the result, is about to, or is followed by a run that asks again. */
const HEARS = new Set<string>(['RUNNING', 'PAUSED', 'COMPLETED', 'CONTINUED_AS_NEW']);

/**
 * A result that comes when its shard has ended and no heartbeat has told so yet goes nowhere: Temporal refuses it, of which
 * the SDK tells its log alone, and the event was one that a result would carry. Over fibre the question takes the place of an
 * echo; on a thinner link it comes besides: one read weighs less than the heartbeats of a command, and an echo would tell an
 * hour later.
 */
async function askHeard(options: DeliveryOptions, { workflowId, runId }: Asker): Promise<Found> {
  try {
    const shard = options.client.workflow.getHandle(workflowId, runId);
    const { status } = await echoed(options, () => shard.describe());
    return HEARS.has(status.name) ? 'well' : 'untold';
  } catch (error) {
    // Whatever else fails is a failure of the link, named as soon as an echo's would be; then all is told again.
    if (!(error instanceof WorkflowNotFoundError)) throw error;
    // A run that is gone so soon is gone with more than itself.
    return 'lost';
  }
}

/** A connection over which nothing comes back looks open for hours: only an answer in time is one. */
function echoed<T>({ client, timers = LINK_TIMERS.fibre }: DeliveryOptions, ask: () => Promise<T>): Promise<T> {
  return client.withDeadline(Date.now() + timers.echoWithin, ask);
}

/**
 * Asked of the namespace: a server in which it is missing answers everything else, and takes no report. The id tells one
 * that was made anew from the one before, which may have been away for less than anybody noticed.
 */
async function echo(options: DeliveryOptions): Promise<string | undefined> {
  const { client } = options;
  const { namespace } = client.options;
  const { namespaceInfo } = await echoed(options, () => client.workflowService.describeNamespace({ namespace }));
  return namespaceInfo?.id ?? undefined;
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
async function deliver(options: DeliveryOptions, sent: Carried, looks: boolean): Promise<boolean> {
  const { site, door, client, announced = new Announced() } = options;
  const began = elapsed();
  const ending = await askEnding(options, sent, looks);
  const report = await door.report();
  if (looks) goBack(options, sent, ending, report.epoch);
  const events = door.unacknowledged(MOST, sent.journal);
  const isCut = events.length === MOST;
  const mayAnnounce = sent.isFirst() && announced.inARow < MOST_ANNOUNCED;
  for (let pages = 0; pages <= MOST / PAGE; pages++) {
    const { page, entries } = nextPage(door, events, sent);
    if (pages > 0 && page.length === 0 && entries.length === 0) {
      if (!isCut) options.due?.toldAll(began);
      return isCut;
    }
    const outbox = entries.length > 0 && door.outbox ? { outbox: door.outbox.page(entries) } : {};
    const delivery = { report, events: page, ...outbox };
    const isAll = pages === 0 && page.length === events.length && bytesOf(delivery) <= ARRIVAL_BYTES;
    if (mayAnnounce && isAll) return announce(options, announced, delivery);
    await echoed(options, () =>
      client.workflow.signalWithStart('inbox', {
        workflowId: inboxId(site),
        taskQueue: TASK_QUEUE,
        args: [site],
        signal: 'deliver',
        signalArgs: [delivery],
        staticSummary: `what site ${site} reports`,
      }),
    );
    announced.inARow = 0;
    sent.wentThrough();
    events.splice(0, page.length);
    sent.journal = page.at(-1)?.sequence ?? sent.journal;
    for (const { priority, sequence } of entries) sent[priority] = Math.max(sent[priority], sequence);
  }
  return true;
}

/**
 * What is said first goes by an inbox that many sites share: the sooner the centre knows who is back. Nothing of it counts as carried, for
 * nobody asks how that inbox ended: the next delivery, to the site's own, brings it all once more.
 */
async function announce(options: DeliveryOptions, announced: Announced, delivery: Delivery): Promise<false> {
  announced.inARow += 1;
  await echoed(options, () =>
    options.client.workflow.signalWithStart('arrivals', {
      ...{ workflowId: arrivalsId(options.site), taskQueue: TASK_QUEUE, args: [] },
      ...{ signal: 'deliver', signalArgs: [delivery], staticSummary: 'what sites report as they come back' },
    }),
  );
  return false;
}

/** The journal in its own order: its mark is one number. What may be dropped has marks of its own, and holds nothing up. */
function nextPage(door: SiteDoor, events: SiteEvent[], sent: Carried): { page: SiteEvent[]; entries: OutboxEntry[] } {
  const waiting = (priority: SparePriority) => door.outbox?.waiting(priority, sent[priority], PAGE) ?? [];
  const [performance, routine] = [waiting('performance'), waiting('routine')];
  const sizes = {
    safety: events.slice(0, PAGE).map(bytesOf),
    performance: performance.map(bytesOf),
    routine: routine.map(bytesOf),
  };
  const plan = cutPage(sizes, { entries: PAGE, bytes: sent.pageBytes });
  const entries = [...performance.slice(0, plan.performance), ...routine.slice(0, plan.routine)];
  return { page: events.slice(0, plan.safety), entries };
}

/** The inbox that took the last delivery ends with what is recorded: samples and log lines up to there are deleted. */
async function askEnding(options: DeliveryOptions, sent: Carried, looks: boolean): Promise<Ending> {
  const { site, door, client, log } = options;
  const outbox = sent.performance + sent.routine > 0;
  const first = looks ? door.unacknowledged(1)[0]?.sequence : undefined;
  if (!outbox && (first === undefined || first > sent.journal)) return undefined;
  try {
    const inbox = client.workflow.getHandle(inboxId(site));
    const { status } = await echoed(options, () => inbox.describe());
    if (status.name !== 'COMPLETED') return AT_WORK.has(status.name) ? undefined : 'lost';
    const end = (await echoed(options, () => inbox.result())) as InboxEnd | undefined | null;
    if (end) door.outbox?.acknowledge(end);
    return end ?? undefined;
  } catch (error) {
    // Who did not answer here will not take the report either.
    if (!(error instanceof WorkflowNotFoundError || error instanceof WorkflowFailedError)) throw error;
    log.debug({ cause: causeOf(error) }, 'what the centre has recorded could not be asked');
    return error instanceof WorkflowNotFoundError ? 'lost' : undefined;
  }
}

/** The journal is deleted by signed commands alone; what the inbox says of it only decides what is sent once more. */
function goBack(options: DeliveryOptions, sent: Carried, ending: Ending, epoch: number): void {
  const { door, log, timers = LINK_TIMERS.fibre, reportEvery = timers.reportEvery } = options;
  const acked = (door.unacknowledged(1)[0]?.sequence ?? Infinity) - 1;
  const marks = sent.marksOf(ending, epoch, acked);
  if (!marks || !sent.goBackTo(marks, elapsed(), reportEvery)) return;
  const { journal, performance, routine } = sent;
  log.warn({ journal, performance, routine }, 'the centre has lost what it was told; it is told again from there');
}
