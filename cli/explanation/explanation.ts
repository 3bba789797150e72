/** What `explain` says of anything: why, what would unblock it, who can, and what is typed next. */
import { REASONS } from '../../policies/model/reasons.js';
import type { RolloutOutcome } from '../../policies/model/rollout.js';
import type { Reason } from '../../policies/model/verdict.js';
import { playbookOf } from '../render/failure.js';
import { ADVICE } from './advice.js';

export interface Explanation extends Reason {
  /** `rollout edge-proxy-2.4.0-3 waits`. */
  about: string;
  /** The line of REASONS. */
  meaning: string;
  playbook: string;
  /** What would have to happen. */
  unblocks: string;
  /** Who can make it happen. */
  who: string;
  /** Exactly as it is typed; `…` stands for a person's own words. */
  next: string[];
}

/** What a command line needs to name. */
export interface Subject {
  stream: string;
  version: string;
  strategy?: string;
  /** Of the rollout; absent where none is concerned. */
  label?: string;
  site?: string;
  /** The strategy's `owner`. */
  owner?: string;
  /** How the rollout stands: it decides who brings a site what it owes. Absent where no rollout is concerned. */
  stands?: 'open' | RolloutOutcome;
}

export interface Situation {
  about: string;
  reason: Reason;
  subject: Subject;
  /** What the state itself says, where the code has nothing more exact. */
  otherwise: { unblocks: string; who: string; next: string[] };
}

/** The code's own advice comes first, then what the state offers; never without a command to type. */
export function explanationOf({ about, reason, subject, otherwise }: Situation): Explanation {
  const { code, detail } = reason;
  const advice = ADVICE[code];
  const own = advice?.next?.(subject) ?? [];
  const unblocks = typeof advice?.unblocks === 'function' ? advice.unblocks(subject) : advice?.unblocks;
  const never = advice?.never?.(subject) ?? [];
  return {
    about,
    code,
    detail,
    meaning: meaningOf(code),
    playbook: playbookOf(code),
    unblocks: unblocks ?? otherwise.unblocks,
    who: advice?.who ?? otherwise.who,
    next: [...new Set([...own, ...otherwise.next])].filter((command) => !never.some((not) => command.startsWith(not))),
  };
}

// A site or a workflow of a newer version may know codes that this one does not.
export function meaningOf(code: string): string {
  return (REASONS as Record<string, string>)[code] ?? 'a reason that this version does not know';
}

export function releaseOf({ stream, version }: Pick<Subject, 'stream' | 'version'>): string {
  return `${stream}@${version}`;
}
