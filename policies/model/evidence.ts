/** Evidence: one hash-linked chain per rollout (design §4). */

/** What a decision or effect contributes. `kind` is a noun or verb of the rollout's life: `plan`, `gate`, `verb` … */
export interface EvidenceDraft {
  kind: string;
  data: Record<string, unknown>;
}

/** Makes appending idempotent: a retry of the same activity repeats its entry, a reset makes new ones. */
export interface EvidenceKey {
  firstRunId: string;
  runId: string;
  activityId: string;
}

/** `hash` is sha256 over the JCS form of all other fields; `previous` is the hash before it, or 64 zeros. */
export interface EvidenceEntry extends EvidenceDraft {
  rollout: string;
  sequence: number;
  at: number;
  runId: string;
  activityId: string;
  index: number;
  previous: string;
  hash: string;
}
