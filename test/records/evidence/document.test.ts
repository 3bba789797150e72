import { beforeEach, describe, expect, it } from 'vitest';
import { exportEvidence, verifyEvidence, type EvidenceDocument } from '../../../records/evidence/document.js';
import { openRegistry } from '../../../records/registry/open.js';
import type { Registry } from '../../../records/registry/registry.js';
import { commandId, frozenPlan, key, PLACE, result, settled, status } from '../registry/facts.js';

let registry: Registry;
const RUN = 'run-1';

beforeEach(async () => {
  registry = await openRegistry('sqlite::memory:');
  const { label, planDigest } = await registry.freeze(frozenPlan(), { firstRunId: RUN, workflowId: 'w-1' }, 1_000);
  await registry.putStatus(status(RUN, { label, planDigest }));
  await registry.appendEvidence(key(RUN, '1'), [{ kind: 'plan', data: { planDigest } }], 1_000);
  const confirmed = settled(result(commandId(RUN, 'osl-01'), 'confirmed'));
  await registry.recordSettled(key(RUN, '2'), PLACE, [confirmed], 2_000);
  await registry.appendEvidence(key(RUN, '3'), [{ kind: 'gate', data: { verdict: 'pass', value: 0.1 } }], 3_000);
});

/** As it is written to a file and read again. */
async function written(): Promise<EvidenceDocument> {
  return JSON.parse(JSON.stringify(await exportEvidence(registry, RUN), null, 2)) as EvidenceDocument;
}

describe('evidence as a document', () => {
  it('[A10] [A43] proves itself offline, plan included', async () => {
    const document = await written();
    expect(document).toMatchObject({ label: 'edge-proxy-2.4.0-1', plan: { digest: frozenPlan().plan.digest } });
    await registry.close();
    expect(verifyEvidence(document)).toEqual({
      ok: true,
      entries: 3,
      firstAt: 1_000,
      lastAt: 3_000,
      kinds: { plan: 1, result: 1, gate: 1 },
    });
  });

  const tampering: [string, (document: EvidenceDocument) => void, number | undefined][] = [
    ['a value changed', (it) => void (it.entries[1]!.data['counted'] = false), 1],
    ['an entry dropped', (it) => void it.entries.splice(0, 1), 0],
    ['two entries swapped', (it) => void it.entries.reverse(), 0],
    ['the last entry cut off', (it) => void it.entries.pop(), 2],
    ['an entry back-dated', (it) => void (it.entries[2]!.at = 1), 2],
    ['another head', (it) => void (it.head.sequence = 9), 3],
    [
      'all entries gone, and the head',
      (it) => void Object.assign(it, { entries: [], head: { sequence: 0, hash: '0'.repeat(64) } }),
      undefined,
    ],
    ['another rollout', (it) => void (it.firstRunId = 'run-2'), 0],
    ['another plan', (it) => void (it.plan!.release.version = '6.6.6'), undefined],
    ['a field added to an entry', (it) => void Object.assign(it.entries[0]!, { extra: 1 }), undefined],
  ];
  it.each(tampering)('[A43] E1: %s is found', async (_name, tamper, index) => {
    const document = await written();
    tamper(document);
    const verified = verifyEvidence(document);
    expect(verified).toMatchObject({ ok: false, ...(index !== undefined && { index }) });
  });

  it.each([null, 'text', {}, [], { format: 'foothold.evidence/v2' }])('%j is no such document', (other) => {
    expect(verifyEvidence(other)).toMatchObject({
      ok: false,
      reason: expect.stringContaining('not an evidence') as string,
    });
  });

  it('of a rollout that nothing is known of is the caller’s mistake', async () => {
    await expect(exportEvidence(registry, 'run-9')).rejects.toMatchObject({ code: 'ROLLOUT_NOT_FOUND' });
  });
});
