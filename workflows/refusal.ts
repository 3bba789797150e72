/** How a rollout is refused: it fails with `RolloutRefused: CODE (detail)`, and `details[0]` is the reason. */
import { ActivityFailure, ApplicationFailure } from '@temporalio/common';
import { REASON_CODES, type ReasonCode } from '../policies/model/reasons.js';
import type { Reason } from '../policies/model/verdict.js';

export function reasonOf(error: unknown): Reason {
  const cause = error instanceof ActivityFailure ? error.cause : error;
  if (cause instanceof ApplicationFailure) {
    const refused = cause.type === 'RolloutRefused' ? (cause.details?.[0] as Reason | undefined) : undefined;
    if (refused) return refused;
    const code = REASON_CODES.find((known) => known === cause.type) ?? 'BEGIN_FAILED';
    return { code, detail: cause.message };
  }
  return { code: 'BEGIN_FAILED', detail: cause instanceof Error ? cause.message : String(cause) };
}

export function refusal(code: ReasonCode, detail: string): ApplicationFailure {
  const reason: Reason = { code, detail };
  return ApplicationFailure.nonRetryable(`RolloutRefused: ${code} (${detail})`, 'RolloutRefused', reason);
}
