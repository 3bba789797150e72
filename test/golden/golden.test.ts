/** The three acts as a person reads them: evidence of a real run, printed by the code that prints any rollout. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { transcriptOf } from '../../policies/rollout/transcript.js';
import { verifyEvidence, type EvidenceDocument } from '../../records/evidence/document.js';

const read = (file: string) => readFileSync(fileURLToPath(new URL(file, import.meta.url)), 'utf8');
const evidenceOf = (act: string) => JSON.parse(read(`./${act}.evidence.json`)) as EvidenceDocument;

describe.each(['act-1', 'act-2', 'act-3'])('%s', (act) => {
  it('[A43] prints from its evidence as it was reviewed', () => {
    expect(`${transcriptOf(evidenceOf(act).entries).join('\n')}\n`).toBe(read(`./${act}.txt`));
  });

  it('[A42] its evidence verifies, and does not once a single sample is changed', () => {
    const evidence = evidenceOf(act);
    expect(verifyEvidence(evidence)).toMatchObject({ ok: true });
    const gate = evidence.entries.find((entry) => entry.kind === 'decision');
    if (gate) gate.data['kind'] = 'promote everything';
    expect(verifyEvidence(evidence)).toMatchObject({ ok: false });
  });
});

describe('what the acts must show', () => {
  const kinds = (act: string, kind: string) => evidenceOf(act).entries.filter((entry) => entry.kind === kind);
  const sealed = (act: string) => kinds(act, 'sealed')[0]?.data['outcome'];

  it('[A29] [A30] act 1 goes wave by wave, every one of them gated, and is promoted', () => {
    expect(sealed('act-1')).toBe('promoted');
    expect(kinds('act-1', 'gate').length).toBe(kinds('act-1', 'wave').length);
    expect(kinds('act-1', 'wave').length).toBeLessThanOrEqual(4);
  });

  it('[A31] act 2 fails its gate at the canary, and no further wave begins', () => {
    expect(sealed('act-2')).toBe('reverted');
    expect(kinds('act-2', 'wave')).toHaveLength(1);
  });

  it('[A32] [A24] act 3: a site that was cut off is known to have reverted by itself, before the centre heard of it', () => {
    const [end] = kinds('act-3', 'sealed');
    const sites = end?.data['sites'] as { site: string; outcome: string; cause?: string; at?: number }[];
    const failed = sites.filter((site) => site.outcome === 'reverted' && site.cause === 'check');
    expect(failed).toHaveLength(3);
    expect(sites.filter((site) => site.outcome === 'owed')).toHaveLength(1);
    for (const site of failed) expect(site.at).toBeLessThan(end?.at ?? 0);
  });
});
