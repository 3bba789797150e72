/** Evidence chains: sequence, hash link and time are set here, inside the transaction of what they tell of. */
import { linkEntry, NO_PREVIOUS } from '../../policies/signing/chain.js';
import type { EvidenceDraft, EvidenceEntry, EvidenceKey } from '../../policies/model/evidence.js';
import { asPlain } from './text.js';
import type { Db, Tables, Tx } from './tables.js';

const ROWS_AT_ONCE = 200;

/** An entry that is appended once for (run, activity, slot), however often it is tried. */
export interface KeyedDraft {
  firstRunId: string;
  runId: string;
  activityId: string;
  slot: string;
  draft: EvidenceDraft;
}

/** The drafts of one call of one activity. `call` keeps apart the calls that an activity makes of several methods. */
export function keyedDrafts(key: EvidenceKey, call: string, drafts: EvidenceDraft[]): KeyedDraft[] {
  const { firstRunId, runId, activityId } = key;
  return drafts.map((draft, index) => ({ firstRunId, runId, activityId, slot: `${call}/${index}`, draft }));
}

export async function appendEvidence(db: Db, key: EvidenceKey, drafts: EvidenceDraft[], now: number): Promise<void> {
  await db.transaction().execute((tx) => appendDrafts(tx, keyedDrafts(key, 'append', drafts), now));
}

export async function appendDrafts(tx: Tx, drafts: KeyedDraft[], now: number): Promise<void> {
  for (const firstRunId of new Set(drafts.map((one) => one.firstRunId))) {
    const ofRollout = drafts.filter((one) => one.firstRunId === firstRunId);
    await appendToChain(tx, firstRunId, ofRollout, now);
  }
}

async function appendToChain(tx: Tx, firstRunId: string, drafts: KeyedDraft[], now: number): Promise<void> {
  let head = await takeHead(tx, firstRunId);
  const { fresh, indexOf } = await notYetAppended(tx, firstRunId, drafts);
  if (fresh.length === 0) return;
  const rows: Tables['evidence'][] = [];
  for (const { runId, activityId, slot, draft } of fresh) {
    // A clock that was set back must not look like a back-dated entry.
    const at = Math.max(now, head.at);
    const data = asPlain(draft.data) as EvidenceEntry['data'];
    const index = indexOf(runId, activityId);
    const content = { kind: draft.kind, data, rollout: firstRunId, at, runId, activityId, index };
    const entry = linkEntry(content, head);
    head = { sequence: entry.sequence, hash: entry.hash, at };
    rows.push({
      first_run_id: firstRunId,
      sequence: entry.sequence,
      run_id: runId,
      activity_id: activityId,
      slot,
      kind: entry.kind,
      body: JSON.stringify(entry),
      at,
      site: siteIn(entry),
      who: whoIn(entry),
    });
  }
  for (let from = 0; from < rows.length; from += ROWS_AT_ONCE)
    await tx
      .insertInto('evidence')
      .values(rows.slice(from, from + ROWS_AT_ONCE))
      .execute();
  await tx.updateTable('evidence_heads').set(head).where('first_run_id', '=', firstRunId).execute();
}

/** The site that an entry tells of, if it is one: so that a site's history is found without reading every chain. */
export function siteIn({ data }: Pick<EvidenceEntry, 'data'>): string | null {
  const { site } = data;
  return typeof site === 'string' ? site : null;
}

/** Who did it, where a person did: a verb carries its payload, a plan its request. Self-asserted. */
export function whoIn({ data }: Pick<EvidenceEntry, 'data'>): string | null {
  const { request } = data;
  const by =
    data['by'] ?? (typeof request === 'object' && request !== null && 'by' in request ? request.by : undefined);
  return typeof by === 'string' ? by : null;
}

interface Head {
  sequence: number;
  hash: string;
  at: number;
}

/** Writing the head first makes a second writer wait, also where transactions do not begin as writers. */
async function takeHead(tx: Tx, firstRunId: string): Promise<Head> {
  return tx
    .insertInto('evidence_heads')
    .values({ first_run_id: firstRunId, sequence: 0, hash: NO_PREVIOUS, at: 0 })
    .onConflict((conflict) => conflict.column('first_run_id').doUpdateSet({ first_run_id: firstRunId }))
    .returning(['sequence', 'hash', 'at'])
    .executeTakeFirstOrThrow();
}

/** Which drafts are new; an entry's index counts within its (run, activity). */
async function notYetAppended(
  tx: Tx,
  firstRunId: string,
  drafts: KeyedDraft[],
): Promise<{ fresh: KeyedDraft[]; indexOf: (runId: string, activityId: string) => number }> {
  const rows = await tx
    .selectFrom('evidence')
    .select(['run_id', 'activity_id', 'slot', 'kind'])
    .where('first_run_id', '=', firstRunId)
    .where('run_id', 'in', [...new Set(drafts.map((one) => one.runId))])
    .where('activity_id', 'in', [...new Set(drafts.map((one) => one.activityId))])
    .execute();
  const known = new Map(rows.map((row) => [JSON.stringify([row.run_id, row.activity_id, row.slot]), row.kind]));
  const counts = new Map<string, number>();
  for (const row of rows) count(counts, row.run_id, row.activity_id);
  const fresh = drafts.filter(({ runId, activityId, slot, draft }) => {
    const kind = known.get(JSON.stringify([runId, activityId, slot]));
    // Dropping it in silence would lose evidence: an activity that appends twice needs two activity ids.
    if (kind !== undefined && kind !== draft.kind)
      throw new Error(`evidence of kind ${draft.kind} has the key of an entry of kind ${kind}: ${activityId} ${slot}`);
    return kind === undefined;
  });
  return { fresh, indexOf: (runId, activityId) => count(counts, runId, activityId) };
}

/** How many there were of this (run, activity) before this one. */
function count(counts: Map<string, number>, runId: string, activityId: string): number {
  const key = JSON.stringify([runId, activityId]);
  const before = counts.get(key) ?? 0;
  counts.set(key, before + 1);
  return before;
}

export async function evidence(db: Db, firstRunId: string, kind?: string): Promise<EvidenceEntry[]> {
  let query = db.selectFrom('evidence').select('body').where('first_run_id', '=', firstRunId);
  if (kind !== undefined) query = query.where('kind', '=', kind);
  const rows = await query.orderBy('sequence').execute();
  return rows.map((row) => JSON.parse(row.body) as EvidenceEntry);
}

export async function evidenceHead(
  db: Db,
  firstRunId: string,
): Promise<{ sequence: number; hash: string } | undefined> {
  const row = await db
    .selectFrom('evidence_heads')
    .select(['sequence', 'hash'])
    .where('first_run_id', '=', firstRunId)
    .executeTakeFirst();
  return row?.sequence === 0 ? undefined : row;
}
