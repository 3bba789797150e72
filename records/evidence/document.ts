/** A rollout's evidence as one document that proves itself: no registry, no server, no key is needed to verify it. */
import { z } from 'zod';
import type { EvidenceEntry } from '../../policies/model/evidence.js';
import { MistakeError } from '../../policies/model/failure.js';
import type { FrozenPlan } from '../../policies/model/plan.js';
import { digestOf } from '../../policies/signing/jcs.js';
import { judgeChain } from '../../policies/signing/chain.js';
import type { Registry } from '../registry/registry.js';

const Entry = z.strictObject({
  kind: z.string(),
  data: z.record(z.string(), z.unknown()),
  rollout: z.string(),
  sequence: z.number().int(),
  at: z.number().int(),
  runId: z.string(),
  activityId: z.string(),
  index: z.number().int(),
  previous: z.string(),
  hash: z.string(),
});

const EvidenceDocument = z.strictObject({
  format: z.literal('foothold.evidence/v1'),
  firstRunId: z.string(),
  label: z.string(),
  entries: z.array(Entry),
  /** Where the registry says that the chain ends. */
  head: z.strictObject({ sequence: z.number().int(), hash: z.string() }),
  /** The plan that the rollout carried out, if one was frozen. */
  plan: z.looseObject({ digest: z.string() }).optional(),
});

export interface EvidenceDocument {
  format: 'foothold.evidence/v1';
  firstRunId: string;
  label: string;
  entries: EvidenceEntry[];
  head: { sequence: number; hash: string };
  plan?: FrozenPlan['plan'];
}

/** `index` counts from 0 in `entries`, where one is to blame. `kinds` counts the entries of each kind. */
export type VerifiedEvidence =
  | { ok: true; entries: number; firstAt: number; lastAt: number; kinds: Record<string, number> }
  | { ok: false; index?: number; reason: string };

/** Throws MistakeError `ROLLOUT_NOT_FOUND` if nothing was recorded of the rollout. */
export async function exportEvidence(registry: Registry, firstRunId: string): Promise<EvidenceDocument> {
  // The head first: what is appended between the two reads is cut off again below, never missing at the end.
  const head = await registry.evidenceHead(firstRunId);
  if (head === undefined) {
    const message = `expected a rollout with evidence, got none for the first run id ${firstRunId}: see \`foothold status\``;
    throw new MistakeError('ROLLOUT_NOT_FOUND', message);
  }
  const entries = await registry.evidence(firstRunId);
  const status = await registry.findRollout(firstRunId);
  const plan = status && (await registry.frozenPlan(status.planDigest))?.plan;
  return {
    format: 'foothold.evidence/v1',
    firstRunId,
    label: status?.label ?? '',
    entries: entries.filter((entry) => entry.sequence <= head.sequence),
    head,
    ...(plan && { plan }),
  };
}

/**
 * Verifies a document, parsed from JSON, offline: links, hashes, order and times of all entries, that they end where the
 * document says, and that its plan has the digest that it names. It cannot show that the whole document was written anew.
 */
export function verifyEvidence(document: unknown): VerifiedEvidence {
  const read = EvidenceDocument.safeParse(document);
  if (!read.success) return { ok: false, reason: `not an evidence document: ${z.prettifyError(read.error)}` };
  const { entries, head, firstRunId, plan } = read.data;
  const judged = judgeChain(entries, head);
  if (!judged.ok) return judged;
  const [first, last] = [entries[0], entries.at(-1)];
  if (first === undefined || last === undefined) return { ok: false, reason: 'it holds no entries' };
  if (first.rollout !== firstRunId) return { ok: false, index: 0, reason: `the entry is of rollout ${first.rollout}` };
  if (plan !== undefined && !digestHolds(plan))
    return { ok: false, reason: 'the plan does not have the digest that it names' };
  const kinds: Record<string, number> = {};
  for (const { kind } of entries) kinds[kind] = (kinds[kind] ?? 0) + 1;
  return { ok: true, entries: entries.length, firstAt: first.at, lastAt: last.at, kinds };
}

function digestHolds(plan: { digest: string }): boolean {
  try {
    return digestOf({ ...plan, digest: undefined }) === plan.digest;
  } catch {
    return false;
  }
}
