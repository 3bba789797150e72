/** What a data directory does with an enrolment token that is genuine (docs/decisions/0003). */
import type { EnrolmentToken } from '../model/enrolment.js';
import type { Reason } from '../model/verdict.js';

/** `epoch` undefined: a data directory that nobody has used. */
export interface EnrolledSoFar {
  epoch?: number | undefined;
  tokenId?: string | undefined;
}

/** `already`: the same token again, after a crash for instance. `next-epoch`: the journal begins anew. */
export type EnrolmentDecision =
  { kind: 'first' | 'in-place' | 'next-epoch' | 'already' } | { kind: 'refuse'; reason: Reason };

export function decideEnrolment(
  known: EnrolledSoFar,
  token: Pick<EnrolmentToken, 'id' | 'epoch' | 'expiresAt'>,
  now: number,
): EnrolmentDecision {
  if (known.tokenId === token.id) return { kind: 'already' };
  if (now > token.expiresAt) {
    const until = new Date(token.expiresAt).toISOString();
    return refuse('ENROLMENT_EXPIRED', `the token was good until ${until}; have a new one made: foothold fleet enrol`);
  }
  if (known.epoch === undefined) return { kind: 'first' };
  if (token.epoch < known.epoch) {
    return refuse(
      'WRONG_EPOCH',
      `the token is for epoch ${token.epoch}, this data directory is of epoch ${known.epoch}`,
    );
  }
  if (token.epoch > known.epoch) return { kind: 'next-epoch' };
  if (known.tokenId === undefined) return { kind: 'in-place' };
  const remedy = 'foothold fleet replace makes one for the next epoch';
  return refuse('ENROLMENT_USED', `this data directory was enrolled with token ${known.tokenId} already; ${remedy}`);
}

function refuse(code: Reason['code'], detail: string): EnrolmentDecision {
  return { kind: 'refuse', reason: { code, detail } };
}
