/** The whole demo, as a newcomer runs it, on real parts: what it says must be what happened. Needs the build. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run, type Ran } from '../../infra/dev/run.js';

const DEMO = fileURLToPath(new URL('../../dist/examples/demo/main.js', import.meta.url));
const PATIENCE_MS = 280_000;

interface ActDocument {
  release: string;
  outcome: string;
  sites: Record<string, { outcome: string; release: string; reason?: string }>;
  gate: { stage: string; metric: string; verdict: string; values: (number | null)[] }[];
  eventsPerSite: number;
  eventsTotal: number;
}
interface DemoDocument {
  acts: ActDocument[];
  offlineRevert: { site: string; badSinceMs: number; restoredMs: number; linkCut: boolean };
}

let temporary: string;
let begun: number;
let ended: Ran;
let document: DemoDocument;

beforeAll(async () => {
  temporary = mkdtempSync(join(tmpdir(), 'fh-'));
  begun = Date.now();
  ended = await run(process.execPath, [DEMO, '--json'], { timeout: PATIENCE_MS, env: { TMPDIR: temporary } });
  if (ended.code !== 0) throw new Error(`the demo ended with exit code ${ended.code}:\n${ended.stderr.slice(-6_000)}`);
  document = JSON.parse(ended.stdout) as DemoDocument;
}, PATIENCE_MS);
afterAll(() => rmSync(temporary, { recursive: true, force: true }));

function outcomes(act: ActDocument | undefined): Record<string, string[]> {
  const found: Record<string, string[]> = {};
  for (const [id, { outcome }] of Object.entries(act?.sites ?? {})) (found[outcome] ??= []).push(id);
  return found;
}

describe('npm run demo', () => {
  it('[A29] [A31] act 1: a good release reaches all sites in four waves, each promoted by the gate', () => {
    const [act] = document.acts;
    expect(act).toMatchObject({ release: 'edge-proxy@2.4.0', outcome: 'promoted' });
    expect(outcomes(act)).toEqual({ confirmed: expect.any(Array) as string[] });
    expect(Object.keys(act?.sites ?? {})).toHaveLength(12);
    expect(act?.gate.map(({ stage, verdict }) => [stage, verdict])).toEqual([
      ['canary', 'pass'],
      ['regions.nordic', 'pass'],
      ['regions.baltic', 'pass'],
      ['rest', 'pass'],
    ]);
    expect(act?.gate.every(({ values }) => values.length > 0 && values.every((value) => value === 0))).toBe(true);
    expect(act?.eventsPerSite).toBeGreaterThanOrEqual(3);
    expect(act?.eventsTotal).toBeGreaterThan((act?.eventsPerSite ?? 0) * 12);
  });

  it('[A31] act 2: what only metrics can see is stopped at the canary and undone there', () => {
    const act = document.acts[1];
    expect(act).toMatchObject({ release: 'edge-proxy@2.5.0', outcome: 'reverted' });
    const { reverted, untouched } = outcomes(act);
    expect([reverted?.length, untouched?.length]).toEqual([2, 10]);
    expect(act?.gate).toMatchObject([{ stage: 'canary', metric: 'error-ratio', verdict: 'fail' }]);
    expect(Math.max(...(act?.gate[0]?.values ?? []).map((value) => value ?? 0))).toBeGreaterThan(0.01);
    expect(new Set(Object.values(act?.sites ?? {}).map(({ release }) => release))).toEqual(new Set(['2.4.0']));
  });

  it('[A32] [A23] act 3: a site undoes it alone, its link cut; the rollout learns it, and who was away is owed', () => {
    const act = document.acts[2];
    expect(act).toMatchObject({ release: 'edge-proxy@2.6.0', outcome: 'reverted' });
    const { reverted, owed, untouched } = outcomes(act);
    expect([reverted?.length, owed?.length, untouched?.length]).toEqual([3, 1, 8]);
    expect((reverted ?? []).map((id) => act?.sites[id]?.reason)).toEqual(Array(3).fill('CHECK_FAILED'));
    expect(new Set(Object.values(act?.sites ?? {}).map(({ release }) => release))).toEqual(new Set(['2.4.0']));

    const { site, badSinceMs, restoredMs, linkCut } = document.offlineRevert;
    expect(reverted).toContain(site);
    expect(linkCut).toBe(true);
    expect(badSinceMs).toBeGreaterThan(begun);
    expect(restoredMs).toBeGreaterThan(badSinceMs);
    expect(restoredMs - badSinceMs).toBeLessThan(20_000);
  });

  it('loses no request in a switch or an undo, and leaves no file and no colour behind', () => {
    expect(ended.stderr).toMatch(/ 1 {4}edge-proxy@2\.4\.0 +promoted +12 confirmed +\d+ +0 +0 /);
    expect(ended.stderr.match(/0 \+ 0 +[\d.]+ +\d+ s/g)).toHaveLength(2);
    expect(ended.stderr).toContain('All three acts ended as they must.');
    expect(ended.stderr).not.toContain('\u001b[');
    expect(readdirSync(temporary)).toEqual([]);
  });
});
