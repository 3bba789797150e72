/**
 * The shard: carries one verb to at most 500 sites and reports every outcome. It holds neither budget nor gate, and
 * schedules nothing after `stop`.
 */
import { CancellationScope, condition, log, setHandler, workflowInfo } from '@temporalio/workflow';
import type { IssuedCommand } from '../activities/contract.js';
import type { OutlineSite, ShardInput } from '../policies/model/outline.js';
import { goOnSignal, holdSignal, stopSignal, type ShardEnd } from './messages.js';
import { patient } from './proxies.js';
import { carry } from './shard-carry.js';
import { finishRecording, keepRecording } from './shard-record.js';
import { isFinished, openShardRun, tellRollout, type ShardRun } from './shard-run.js';

/** Commands are signed in pages of at most this many, shortly before they are scheduled. */
const ISSUE_PAGE = 50;
/** Results that may lie unrecorded before no further site is changed: an append that fails holds changes. */
const UNRECORDED_LIMIT = 100;

export async function shard(input: ShardInput): Promise<ShardEnd> {
  const run = openShardRun(input);
  handleMessages(run);
  return CancellationScope.nonCancellable(async () => {
    const recording = keepRecording(run);
    while (!isFinished(run)) {
      await condition(() => isFinished(run) || mayCommand(run));
      if (mayCommand(run)) await commandNext(run);
    }
    await finishRecording(run, recording);
    return { outcomes: [...run.outcomes.values()], commanded: run.commanded };
  });
}

function handleMessages(run: ShardRun): void {
  setHandler(stopSignal, () => stop(run), { description: 'Schedule nothing more; what is in flight settles.' });
  setHandler(holdSignal, () => void (run.held = true), { description: 'No new command until goOn.' });
  setHandler(goOnSignal, () => void (run.held = false), { description: 'Commands may be scheduled again.' });
  // Cancel from the Temporal UI, or by a rollout that was reset: stop, and let go of what is observed as well.
  CancellationScope.current().cancelRequested.catch(() => {
    stop(run);
    for (const scope of run.observing.values()) scope.cancel();
  });
}

/** Gives up what never started; a started converge is superseded at the site, and ends with its own result. */
function stop(run: ShardRun): void {
  run.stopped = true;
  for (const site of run.withoutSlot) run.observing.get(site)?.cancel();
  for (const site of [...run.issued.map((command) => command.site), ...run.pending.map((s) => s.id)]) {
    run.outcomes.set(site, { site, outcome: 'untouched', stage: run.input.stage, wave: run.input.wave });
  }
  run.issued = [];
  run.pending = [];
  // What has confirmed is told before anybody decides whom to undo: an abort leaves those as they are.
  const confirmed = [...run.outcomes.values()].filter(({ outcome }) => outcome === 'confirmed');
  tellRollout(run, { outcomes: confirmed, stopped: { commanded: [...run.commanded] } });
}

function mayCommand(run: ShardRun): boolean {
  if (run.stopped || run.issued.length + run.pending.length === 0) return false;
  // An undo waits for nothing: neither for a slot, nor for a person, nor for a record.
  if (run.input.verb === 'revert') return true;
  return !run.held && run.inSlot < run.input.concurrency && run.unrecorded.length <= UNRECORDED_LIMIT;
}

async function commandNext(run: ShardRun): Promise<void> {
  await issueIfNeeded(run);
  while (run.issued.length > 0 && mayCommand(run)) {
    const command = run.issued.shift();
    if (command) startCarrying(run, command);
  }
}

function startCarrying(run: ShardRun, command: IssuedCommand): void {
  run.commanded.push({ site: command.site, switchBy: command.settleBy ?? 0 });
  carry(run, command).catch((error: unknown) => {
    // Only a bug ends up here. The site must still have an outcome, or the wave would never end.
    log.error('a command ended in an unforeseen way', { site: command.site, error });
    run.outcomes.set(command.site, {
      site: command.site,
      outcome: 'owed',
      stage: run.input.stage,
      wave: run.input.wave,
      reason: { code: 'NO_RESULT', detail: String(error) },
      state: null,
    });
  });
}

/** Signs the next page; commands that waited too long for a slot are signed anew, so that `switchBy` stays honest. */
async function issueIfNeeded(run: ShardRun): Promise<void> {
  const now = Date.now();
  const stale = run.issued.filter((command) => isStale(command, now)).map((command) => command.site);
  if (stale.length > 0) {
    run.issued = run.issued.filter((command) => !stale.includes(command.site));
    run.pending.unshift(...stale.map((site) => siteOf(run, site)));
  }
  if (run.issued.length > 0) return;
  const size = run.input.verb === 'revert' ? ISSUE_PAGE : Math.min(ISSUE_PAGE, 2 * run.input.concurrency);
  const next = run.pending.slice(0, size);
  const issued = await patient.issueCommands({ ...run.input, sites: [] }, next);
  if (run.stopped) return;
  run.pending = run.pending.slice(next.length);
  run.issued.push(...issued);
}

function isStale(command: IssuedCommand, now: number): boolean {
  if (command.settleBy === undefined) return false;
  return now - command.issuedAt > Math.min(60_000, (command.settleBy - command.issuedAt) / 10);
}

function siteOf(run: ShardRun, id: string): OutlineSite {
  const site = run.input.sites.find((candidate) => candidate.id === id);
  if (!site) throw new TypeError(`site ${id} is not of shard ${workflowInfo().workflowId}`);
  return site;
}
