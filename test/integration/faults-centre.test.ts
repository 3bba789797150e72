/**
 * The fault sweep of the centre as `npm run faults` runs it: two hundred seeds, each a rollout of simulated sites on a real
 * server with one to three faults, judged by the sites' own logs, the registry and the evidence.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { PROMOTED_KINDS } from '../faults/each-place.js';
import type { SweepReport } from '../faults/sweep.js';

/** Built by the set-up of `npm test`. */
const MAIN = resolve(import.meta.dirname, '../../dist/test/faults/main.js');
const SEEDS = 200;
/** Each of them had an effect at least once. */
const KINDS = [
  ...['fail-before', 'fail-after', 'delay', 'twice', 'kill-before', 'kill-after'].map((how) => `${how} activity`),
  ...['fail-before', 'fail-after', 'delay', 'twice'].map((how) => `${how} converge`),
  ...['kill task', 'reset', 'terminate', 'pause', 'promote', 'abort', 'revert', 'verbs'],
  ...['supersede', 'retry', 'replace', 'rotate', 'continue-as-new rollout', 'continue-as-new shard'],
];
/** 342 were measured when a signal counted once it was delivered, and 43 are signals; now it counts once it was obeyed. */
const FAULTS_AT_LEAST = 280;
/** What a promotion leaves behind is judged only where there is one. */
const PROMOTED_AT_LEAST = 25;
/** The rest of the places, and the kills, are for the command: all of them take an hour and more. */
const EACH = PROMOTED_KINDS.filter((kind) => !kind.startsWith('kill'));
const EVERY = 97;
/** 68 were counted. */
const COUNTED_AT_LEAST = 50;
const WITHIN_MS = 1_200_000;

function runSweep(args: string[]): Promise<{ code: number; report: SweepReport; said: string }> {
  return new Promise((settle, reject) => {
    const options = { timeout: WITHIN_MS, maxBuffer: 256 * 1024 * 1024 };
    const child = execFile(process.execPath, [MAIN, ...args, '--json'], options, (_error, printed, said) => {
      try {
        settle({ code: child.exitCode ?? -1, report: JSON.parse(printed) as SweepReport, said });
      } catch {
        reject(new Error(`expected one JSON document, got ${printed.slice(0, 200)}; it said ${said.slice(-4_000)}`));
      }
    });
  });
}

describe('the fault sweep of the centre', () => {
  it(
    `[B36] [B70] [A19] O1, O6, O11, O12: ${SEEDS} seeds, and nothing that must hold is violated`,
    async () => {
      expect(existsSync(MAIN)).toBe(true);
      const { code, report } = await runSweep(['--room', 'centre', '--seeds', String(SEEDS)]);
      // Each names the command that replays it.
      expect(report.violations).toEqual([]);
      expect({ code, seeds: report.seeds }).toEqual({ code: 0, seeds: SEEDS });
      // A sweep whose faults never come proves nothing.
      expect(report.faultsInjected).toBeGreaterThan(FAULTS_AT_LEAST);
      expect(report.outcomes['promoted']).toBeGreaterThan(PROMOTED_AT_LEAST);
      expect(Object.keys(report.faults)).toEqual(expect.arrayContaining(KINDS));
    },
    WITHIN_MS,
  );

  it(
    'puts each kind that kills no worker at some of all the places of a rollout that it has counted',
    async () => {
      const { code, report } = await runSweep(['--exhaustive', '--kinds', EACH.join(), '--every', String(EVERY)]);
      expect(report.violations).toEqual([]);
      expect({ code, places: report.places }).toEqual({ code: 0, places: 'each' });
      expect(report.counted?.promoted?.activity).toBeGreaterThan(COUNTED_AT_LEAST);
      // A verb is refused where nothing is left to be done, and a promotion where nothing waits.
      expect(report.seeds - report.withoutEffect.length).toBeGreaterThan(report.seeds / 3);
    },
    WITHIN_MS,
  );

  it('refuses what it does not understand', async () => {
    const refused = await new Promise<number | null>((settle) => {
      const child = execFile(process.execPath, [MAIN, '--room', 'kitchen'], () => settle(child.exitCode));
    });
    expect(refused).toBe(2);
  });
});
