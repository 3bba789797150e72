/**
 * Reverts that an agent did not take in: still owed. The envelope may have been signed long ago, with a key that the site
 * has left behind or for an agent that it no longer has: the same command is signed anew, ever less often.
 */
import type { IssuedCommand } from '../activities/contract.js';
import type { Settled } from '../policies/model/command.js';
import type { Reason } from '../policies/model/verdict.js';
import { dispositionOf, recordDisposition, type ShardRun } from './shard-run.js';

const FIRST_PAUSE = 5_000;
/** A replaced agent may be the right one a minute later: the undo, and the release behind it, wait no longer than this. */
const LONGEST_PAUSE = 60_000;

export function refuse(run: ShardRun, { site }: IssuedCommand, settled: Settled & { kind: 'result' }): void {
  const reason = settled.result.reason ?? { code: 'NO_RESULT' as const, detail: 'refused without a reason' };
  const known = run.refused.get(site);
  const pause = known ? Math.min(2 * known.pause, LONGEST_PAUSE) : FIRST_PAUSE;
  // Evidence says it once: an agent may refuse for weeks.
  if (known?.reason.code !== reason.code) run.unrecorded.push(settled);
  if (run.stopped) return leaveRefused(run, site, reason);
  run.refused.set(site, { site, reason, askAt: Date.now() + pause, pause, asking: false });
}

/** Nothing more is scheduled: the site owes its undo to whoever carries it next. */
export function giveUpRefused(run: ShardRun): void {
  for (const { site, reason } of [...run.refused.values()]) {
    if (!run.inFlight.has(site)) leaveRefused(run, site, reason);
  }
}

function leaveRefused(run: ShardRun, site: string, reason: Reason): void {
  run.refused.delete(site);
  const outcome = { ...dispositionOf(run, site, 'owed'), reason, state: null };
  run.outcomes.set(site, outcome);
  recordDisposition(run, outcome);
}

/** The site was heard of: the next answer may be another. What is under way is followed sooner if it is refused again. */
export function askAnew(run: ShardRun, sites: unknown, now: number): void {
  for (const site of namedSites(sites)) {
    const refusal = run.refused.get(site);
    if (!refusal) continue;
    refusal.pause = FIRST_PAUSE / 2;
    if (!refusal.asking) refusal.askAt = now;
  }
}

/** Anyone can signal anything. */
export function namedSites(sites: unknown): string[] {
  return Array.isArray(sites) ? (sites as unknown[]).filter((site) => typeof site === 'string') : [];
}

export function nextRefused(run: ShardRun): number {
  let next = Infinity;
  for (const { asking, askAt } of run.refused.values()) if (!asking) next = Math.min(next, askAt);
  return next;
}

/** Those whose time has come are signed anew with the next page. */
export function askRefused(run: ShardRun, now: number): void {
  for (const refusal of run.refused.values()) {
    const site = run.sites.get(refusal.site);
    if (!site || refusal.asking || refusal.askAt > now) continue;
    refusal.asking = true;
    run.pending.push(site);
  }
}
