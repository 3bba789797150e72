/** Why a site that is owed a release may not be commanded now (design §4.7): reasons with codes, never a silent skip. */
import { matches, type Selectable } from '../cohort/selector.js';
import type { Debt, Desired, Freeze } from '../model/debt.js';
import type { Site } from '../model/fleet.js';
import type { SiteReport } from '../model/report.js';
import type { Reason } from '../model/verdict.js';
import { isAllowed, quarantineOf } from '../preflight/facts.js';
import { tallyOf } from '../rollout/budget.js';
import type { Held } from '../rollout/judge-held.js';
import type { Drift } from './drift.js';
import type { Commanded } from './owed-site.js';
import { backOffAfter, type CatchUpPace } from './pace.js';

export type Hindrance = Reason & { until?: number };

/** What is known of one release: who stopped it, and where a person has allowed it. */
export interface ReleaseFacts {
  /** A central revert blocks it for the stream. */
  blocked?: { rollout: string; at: number };
  /** A person ended the latest batch that brought it, and has not allowed it since. */
  stopped?: { rollout: string; reason: Reason };
  /** Lifted quarantines and blocks: a site, or `*`. */
  allowances: readonly { site: string; at: number }[];
  /** The plan that says how it is brought to sites is in the registry. */
  planned: boolean;
}

export interface SiteFacts {
  site: Selectable & Pick<Site, 'state'>;
  drift: Drift;
  desired: Desired;
  known?: { report: SiteReport; receivedAt: number };
  /** Commands of its stream to it, in any order. */
  commanded: readonly Commanded[];
  owedReverts: readonly Pick<Debt, 'label'>[];
  held?: Held;
}

/** The first that holds; undefined: the site may be commanded. */
export function judgeHindrance(
  facts: SiteFacts,
  release: ReleaseFacts,
  freezes: readonly Freeze[],
  pace: CatchUpPace,
  now: number,
): Hindrance | undefined {
  return (
    byItsState(facts) ??
    facts.held ??
    byItsRelease(facts, release) ??
    byFreeze(facts, freezes, now) ??
    byItsTries(facts, release, pace, now)
  );
}

function byItsState({ site, drift, known, owedReverts }: SiteFacts): Hindrance | undefined {
  if (site.state !== 'active') return { code: 'MAINTENANCE', detail: `the fleet says state: ${site.state}` };
  const [owed] = owedReverts;
  if (owed) return { code: 'OWED_REVERT', detail: `${owed.label} has still to be undone there` };
  if (drift === 'unknown' || !known)
    return { code: 'NOT_REPORTED', detail: 'it is brought up to date once it reports' };
  if (drift === 'pending') return { code: 'AGENT_BUSY', detail: `as told ${new Date(known.receivedAt).toISOString()}` };
  return undefined;
}

function byItsRelease({ desired, known }: SiteFacts, release: ReleaseFacts): Hindrance | undefined {
  const { stream, label } = desired;
  const ref = { stream, digest: desired.release.digest };
  if (!release.planned) return { code: 'PLAN_LOST', detail: `${label}; start a rollout of ${stream} to the site` };
  if (release.blocked) return { code: 'BLOCKED', detail: `since ${release.blocked.rollout}` };
  if (release.stopped) {
    const { rollout, reason } = release.stopped;
    return { code: 'CATCH_UP_STOPPED', detail: `${rollout} ended: ${reason.code} (${reason.detail})` };
  }
  const quarantine = quarantineOf(known?.report, ref);
  if (quarantine && !isAllowed(known?.report, ref, release.allowances)) {
    return { code: 'QUARANTINED', detail: `${quarantine.version} failed there: ${quarantine.code}` };
  }
  return undefined;
}

function byFreeze({ site }: SiteFacts, freezes: readonly Freeze[], now: number): Hindrance | undefined {
  const inForce = freezes.filter(({ until, lifted }) => until > now && !lifted);
  const mine = inForce.filter(({ only }) => only === undefined || matches(only, site));
  const last = mine.sort((a, b) => b.until - a.until)[0];
  return last && { code: 'FROZEN', detail: `${last.id} by ${last.by}: ${last.reason}`, until: last.until };
}

function byItsTries(facts: SiteFacts, release: ReleaseFacts, pace: CatchUpPace, now: number): Hindrance | undefined {
  const { tries, lastTriedAt, failed, answered } = triesOf(facts, release);
  if (failed) {
    const why = failed.reason ? `${failed.reason.code} (${failed.reason.detail})` : failed.outcome;
    return { code: 'CATCH_UP_FAILED', detail: `it ended ${failed.outcome}: ${why}` };
  }
  if (answered >= pace.tries) return { code: 'CATCH_UP_FAILED', detail: `tried ${answered} times in vain` };
  if (lastTriedAt === undefined || !facts.known) return undefined;
  if (facts.known.receivedAt <= lastTriedAt) {
    return { code: 'UNREACHED', detail: `not heard of since it was tried ${new Date(lastTriedAt).toISOString()}` };
  }
  const until = lastTriedAt + backOffAfter(tries, pace);
  return until > now ? { code: 'CATCH_UP_WAITS', detail: `tried ${tries} times`, until } : undefined;
}

export interface Tries {
  /** Since the release became what the site should run, or since a person allowed it there. */
  tries: number;
  /** Of them, those that the site answered. */
  answered: number;
  /** Also by the rollout that decided it. */
  lastTriedAt?: number;
  /** The latest answer, if it counts as failed and nobody has allowed the release since. */
  failed?: NonNullable<Commanded['outcome']>;
}

export function triesOf(
  { site, desired, commanded }: SiteFacts,
  { allowances }: Pick<ReleaseFacts, 'allowances'>,
): Tries {
  const mine = commanded
    .filter(({ verb, version }) => verb === 'converge' && version === desired.release.version)
    .filter(({ generation }) => generation >= desired.generation)
    .sort((a, b) => a.scheduledAt - b.scheduledAt);
  const allowedAt = Math.max(
    0,
    ...allowances.filter((one) => one.site === '*' || one.site === site.id).map(({ at }) => at),
  );
  const since = mine.filter(({ scheduledAt }) => scheduledAt > Math.max(desired.since, allowedAt));
  const latest = mine.filter(({ scheduledAt }) => scheduledAt > allowedAt).findLast(({ outcome }) => outcome)?.outcome;
  const last = mine.at(-1);
  return {
    tries: since.length,
    answered: since.filter(({ outcome }) => outcome && isAnswer(outcome.outcome)).length,
    ...(last && { lastTriedAt: last.scheduledAt }),
    ...(latest && tallyOf(latest) === 'failed' && { failed: latest }),
  };
}

function isAnswer(word: NonNullable<Commanded['outcome']>['outcome']): boolean {
  return word !== 'owed' && word !== 'deferred' && word !== 'untouched' && word !== 'superseded';
}
