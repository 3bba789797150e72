/** Commands that an agent refuses without taking them in: the same id, sent right, is taken as if never seen. */
import type { Result } from '../model/command.js';
import type { ReasonCode } from '../model/reasons.js';
import type { Reason } from '../model/verdict.js';

const NOT_TAKEN = [
  ...(['SIGNATURE_INVALID', 'WRONG_SITE', 'WRONG_EPOCH', 'ENROLMENT_USED', 'JOURNAL_FORKED'] as const),
  'OBSERVING',
  'STORAGE_FAULT',
] as const;

/** What an agent answers to a command that it does not store. */
export interface NotTaken extends Reason {
  code: (typeof NOT_TAKEN)[number];
}

const CODES: ReadonlySet<ReasonCode | undefined> = new Set(NOT_TAKEN);

/**
 * Whether a revert is owed as before in spite of this answer: it was signed with a key that the site has left behind, or
 * is for another epoch, instance or journal. Nothing was undone, and nothing of it is kept at the site.
 */
export function leavesRevertOwed({ verb, result, reason }: Pick<Result, 'verb' | 'result' | 'reason'>): boolean {
  return verb === 'revert' && result === 'rejected' && CODES.has(reason?.code);
}
