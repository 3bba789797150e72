/**
 * The shard: carries one verb to at most 500 sites and reports every outcome. It holds neither budget nor gate, and
 * schedules nothing after `stop`, nor between telling of a failure and hearing that the rollout goes on.
 */
import {
  allHandlersFinished,
  CancellationScope,
  condition,
  continueAsNew,
  log,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { IssuedCommand } from '../activities/contract.js';
import type { ShardInput } from '../policies/model/outline.js';
import {
  goOnSignal,
  heardSignal,
  holdSignal,
  retiredSignal,
  signAnewSignal,
  stopSignal,
  withdrawSignal,
  type CarriedShard,
  type Flight,
  type ShardEnd,
} from './messages.js';
import { patient } from './proxies.js';
import { carry } from './shard-carry.js';
import { defer, endDeferral, keepAsking } from './shard-defer.js';
import { askAnew, giveUpRefused, namedSites } from './shard-refused.js';
import { keepGivingUp, noteRetired } from './shard-retired.js';
import { keepWithdrawing, noteHindered } from './shard-withdraw.js';
import { finishRecording, isRecorded, keepRecording, untilRecorded } from './shard-record.js';
import {
  carriedOf,
  dispositionOf,
  isFinished,
  openShardRun,
  recordDisposition,
  tellRollout,
  type ShardRun,
} from './shard-run.js';

/** Commands are signed in pages of at most this many, shortly before they are scheduled. */
const ISSUE_PAGE = 50;
/** Results that may lie unrecorded before no further site is changed: an append that fails holds changes. */
const UNRECORDED_LIMIT = 100;

/** `continueAfterEvents`: for tests; otherwise as Temporal suggests. */
export async function shard(
  input: ShardInput,
  carried?: CarriedShard | null,
  continueAfterEvents?: number,
): Promise<ShardEnd> {
  const run = openShardRun(input, carried);
  if (continueAfterEvents !== undefined) run.continueAfterEvents = continueAfterEvents;
  handleMessages(run);
  return CancellationScope.nonCancellable(async () => {
    const recording = keepRecording(run);
    void keepAsking(run);
    void keepGivingUp(run);
    void keepWithdrawing(run);
    for (const flight of carried?.inFlight ?? []) startCarrying(run, flight);
    while (!isFinished(run)) {
      await continueIfLong(run);
      await condition(() => isFinished(run) || mayCommand(run) || isLong(run));
      if (mayCommand(run)) await commandNext(run);
    }
    await finishRecording(run, recording);
    return { outcomes: [...run.outcomes.values()], commanded: [...run.commanded.values()] };
  });
}

function handleMessages(run: ShardRun): void {
  setHandler(stopSignal, () => stop(run), { description: 'Schedule nothing more; what is in flight settles.' });
  setHandler(holdSignal, () => void (run.held = true), { description: 'No new command until goOn.' });
  setHandler(goOnSignal, () => void (run.held = false), { description: 'Commands may be scheduled again.' });
  setHandler(signAnewSignal, (sites) => askAnew(run, sites, Date.now()), {
    description: 'Sites that were heard of: an undo that they refused is signed anew. ["site"]',
  });
  setHandler(retiredSignal, (sites) => noteRetired(run, sites), {
    description: 'Sites that were retired: an undo that they owe is given up once the registry says so too. ["site"]',
  });
  setHandler(withdrawSignal, (sites) => noteHindered(run, sites), {
    description:
      'Sites that may not be given anything new now: what no agent has begun is withdrawn once the registry says so too. ["site"]',
  });
  setHandler(heardSignal, (sites) => hear(run, sites), { description: 'The rollout goes on in spite of these.' });
  // Cancel from the Temporal UI, or by a rollout that was reset: stop, and let go of what is observed as well.
  CancellationScope.current().cancelRequested.catch(() => {
    run.cancelled = true;
    stop(run);
    for (const scope of run.observing.values()) scope.cancel();
  });
}

function hear(run: ShardRun, sites: unknown): void {
  for (const site of namedSites(sites)) run.unheard.delete(site);
}

/** Gives up what never started; a started converge is superseded at the site, and ends with its own result. */
function stop(run: ShardRun): void {
  run.stopped = true;
  giveUpRefused(run);
  for (const [site, { hasSlot }] of run.inFlight) if (!hasSlot) run.observing.get(site)?.cancel();
  const never = [
    ...run.issued.map((command) => command.site),
    ...run.pending.map((site) => site.id),
    ...run.deferred.keys(),
  ].filter((site) => !run.outcomes.has(site));
  for (const site of never) run.outcomes.set(site, dispositionOf(run, site, 'untouched'));
  for (const { site } of run.issued) recordNeverScheduled(run, site);
  run.issued = [];
  run.pending = [];
  run.deferred.clear();
  // What has confirmed is told before anybody decides whom to undo: an abort leaves those as they are.
  const confirmed = [...run.outcomes.values()].filter(({ outcome }) => outcome === 'confirmed');
  tellRollout(run, { outcomes: confirmed, stopped: { commanded: [...run.commanded.values()] } });
}

/** Recorded as commanded when it was signed: mates of its redundancy group must not wait for it. */
function recordNeverScheduled(run: ShardRun, site: string): void {
  // What was sent before, and refused, is owed.
  if (run.outcomes.get(site)?.outcome === 'owed') return;
  recordDisposition(run, dispositionOf(run, site, 'untouched'));
}

function mayCommand(run: ShardRun): boolean {
  if (run.stopped || run.issued.length + run.pending.length === 0) return false;
  // An undo waits for nothing: neither for a slot, nor for a person, nor for a record.
  if (run.input.verb === 'revert') return true;
  if (run.held || run.unheard.size > 0 || run.withdrawing.size > 0) return false;
  return run.inSlot < run.input.concurrency && run.unrecorded.length <= UNRECORDED_LIMIT;
}

async function commandNext(run: ShardRun): Promise<void> {
  await issueIfNeeded(run);
  while (run.issued.length > 0 && mayCommand(run)) {
    const command = run.issued.shift();
    if (command) startCarrying(run, { command, hasSlot: true });
  }
}

function startCarrying(run: ShardRun, flight: Flight): void {
  const { command } = flight;
  run.commanded.set(command.site, { site: command.site, switchBy: command.settleBy ?? 0 });
  carry(run, flight).catch((error: unknown) => {
    // Only a bug ends up here. The site must still have an outcome, or the wave would never end.
    log.error('a command ended in an unforeseen way', { site: command.site, error });
    run.outcomes.set(command.site, {
      ...dispositionOf(run, command.site, 'owed'),
      reason: { code: 'NO_RESULT', detail: String(error) },
    });
  });
}

/** Signs the next page; commands that waited too long for a slot are signed anew, so that `switchBy` stays honest. */
async function issueIfNeeded(run: ShardRun): Promise<void> {
  const now = Date.now();
  const stale = run.issued.filter((command) => isStale(command, now)).map((command) => command.site);
  if (stale.length > 0) {
    run.issued = run.issued.filter((command) => !stale.includes(command.site));
    run.pending.unshift(...stale.flatMap((site) => run.sites.get(site) ?? []));
  }
  if (run.issued.length > 0) return;
  const wholePage = run.input.verb === 'revert' || run.pending.some((site) => run.deferred.has(site.id));
  const next = run.pending.slice(0, wholePage ? ISSUE_PAGE : Math.min(ISSUE_PAGE, 2 * run.input.concurrency));
  // Taken off only once answered: a stop meanwhile gives up these as well.
  run.signing = true;
  const answers = await patient.issueCommands({ ...run.input, sites: [] }, next).finally(() => (run.signing = false));
  if (run.stopped) return answers.forEach(({ site }) => recordNeverScheduled(run, site));
  const asked = new Set(next.map((site) => site.id));
  run.pending = run.pending.filter((site) => !asked.has(site.id));
  for (const answer of answers.filter(({ site }) => !run.outcomes.has(site))) {
    if ('deferred' in answer) defer(run, answer);
    else {
      endDeferral(run, answer.site);
      run.issued.push(answer);
    }
  }
}

function isStale(command: IssuedCommand, now: number): boolean {
  if (command.settleBy === undefined) return false;
  return now - command.issuedAt > Math.min(60_000, (command.settleBy - command.issuedAt) / 10);
}

function isLong(run: ShardRun): boolean {
  // It is about to end, and the next run would not know that it should.
  if (run.cancelled) return false;
  const { continueAsNewSuggested, historyLength } = workflowInfo();
  return continueAsNewSuggested || historyLength > run.continueAfterEvents;
}

/**
 * At any time: sites in flight are observed again by the next run, under the command as it was signed. Nothing is
 * scheduled between the last record and the seam.
 */
async function continueIfLong(run: ShardRun): Promise<void> {
  if (!isLong(run)) return;
  do {
    await untilRecorded(run);
    await condition(allHandlersFinished);
  } while (!isRecorded(run));
  if (isFinished(run) || run.cancelled) return;
  await continueAsNew<typeof shard>(run.input, carriedOf(run));
}
