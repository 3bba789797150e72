/** Whether a site takes over the control keys on offer (docs/decisions/0003): upwards only, and only on the word of a key it trusts. */
import type { Keyset } from '../model/enrolment.js';
import type { Reason } from '../model/verdict.js';

/** `version` 0: the keys that agent.yaml pins, which a person put there. */
export interface TrustedKeys {
  version: number;
  pems: string[];
}

/**
 * `keep`: nothing new, or nothing that could be. `adopt`: durably, before anything is verified by it. `refuse`: tell,
 * and go on with what is trusted.
 */
export type KeysetDecision = { kind: 'keep' } | { kind: 'adopt' } | { kind: 'refuse'; reason: Reason };

/** `verified`: one of the trusted keys has signed the offer. */
export function decideKeyset(trusted: TrustedKeys, offered: Keyset, verified: boolean): KeysetDecision {
  const rollback = offered.version < trusted.version;
  const conflict = offered.version === trusted.version && !sameKeys(trusted.pems, offered);
  // Not one word about an older one: it may lie in a depot, or travel in a command, for long.
  if (rollback || (offered.version === trusted.version && !conflict)) return { kind: 'keep' };
  if (conflict) {
    const detail = `expected the keyset ${trusted.version} that this site trusts, got another of the same version`;
    return { kind: 'refuse', reason: { code: 'KEYSET_REFUSED', detail } };
  }
  if (verified) return { kind: 'adopt' };
  const detail = `keyset ${offered.version} is not signed by a key of keyset ${trusted.version}, which this site trusts`;
  return { kind: 'refuse', reason: { code: 'KEYSET_REFUSED', detail } };
}

function sameKeys(pems: string[], { keys }: Keyset): boolean {
  const own = new Set(pems.map((pem) => pem.trim()));
  return keys.length === own.size && keys.every(({ pem }) => own.has(pem.trim()));
}
