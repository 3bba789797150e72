/** What a rollout tells of itself: its evidence and status, and whether this run of it may go on (design §4 "reset"). */
import type { EvidenceDraft } from '../../policies/model/evidence.js';
import type { RolloutRequest, RolloutStatus } from '../../policies/model/rollout.js';
import type { Reason } from '../../policies/model/verdict.js';
import type { FrozenRef, Recording, RunIdentity } from '../contract.js';
import type { ControlDeps } from './deps.js';
import { evidenceKey } from './evidence-key.js';

export async function recordProgress(
  deps: ControlDeps,
  drafts: EvidenceDraft[],
  status: RolloutStatus,
  run: RunIdentity,
): Promise<Recording> {
  const { registry, now } = deps;
  const askedBy = run.runId;
  if (drafts.length > 0) await registry.appendEvidence(evidenceKey(run), drafts, now());
  await registry.putStatus(status);
  if (!(await wasReset(deps, run))) return { wasReset: false, askedBy };
  // From here on nobody may converge for this rollout, shards that the lost run left behind included.
  await registry.disownRuns(run.firstRunId, run.continuation);
  return { wasReset: true, askedBy };
}

export async function wasReset(
  { registry }: ControlDeps,
  run: Pick<RunIdentity, 'firstRunId' | 'runId' | 'continuation'>,
): Promise<boolean> {
  return (await registry.recordRun(run.firstRunId, run.continuation, run.runId)) !== run.runId;
}

/** A rollout that was refused before it had a plan, and so neither label nor generation: named by its release. */
export async function recordRefused(
  { registry, now }: ControlDeps,
  request: RolloutRequest,
  reason: Reason,
  run: RunIdentity,
): Promise<{ frozen: FrozenRef | null }> {
  const known = await registry.findRollout(run.firstRunId);
  if (known && known.firstRunId === run.firstRunId && known.generation > 0) {
    const { planDigest, label, generation } = known;
    return { frozen: { planDigest, label, generation } };
  }
  const [stream = request.release, version = ''] = request.release.split('@');
  const at = now();
  await registry.putStatus({
    label: `${stream}-${version}`,
    workflowId: run.workflowId,
    firstRunId: run.firstRunId,
    stream,
    release: { version, digest: '' },
    strategy: request.strategy,
    planDigest: '',
    generation: 0,
    state: 'sealed',
    outcome: 'refused',
    reason,
    stages: [],
    startedAt: at,
    updatedAt: at,
    owedReverts: [],
  });
  await registry.appendEvidence(
    evidenceKey(run),
    [{ kind: 'sealed', data: { outcome: 'refused', reason, request } }],
    at,
  );
  return { frozen: null };
}
