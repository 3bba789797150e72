/**
 * The fault sweep of the site as `npm run faults` runs it: the real agent on simulated machines, a thousand seeds, each with
 * kills at steps, commits and file operations, power cuts, full and failing disks, reads that fail, wrong clocks, a link that
 * loses, repeats and delays, and people who hold the site and change files of what is live.
 */
import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { SiteSweepReport } from '../faults/site-room/sweep.js';

/** Built by the set-up of `npm test`. */
const MAIN = resolve(import.meta.dirname, '../../dist/test/faults/main.js');
const SEEDS = 1_000;
const WITHIN_MS = 900_000;

interface Ran {
  code: number;
  report: SiteSweepReport;
  said: string;
}

async function runSweep(args: string[]): Promise<Ran> {
  return new Promise((settle, reject) => {
    const options = { timeout: WITHIN_MS, maxBuffer: 256 * 1024 * 1024 };
    const child = execFile(
      process.execPath,
      [MAIN, '--room', 'site', ...args, '--json'],
      options,
      (_error, printed, said) => {
        try {
          settle({ code: child.exitCode ?? -1, report: JSON.parse(printed) as SiteSweepReport, said });
        } catch {
          reject(new Error(`expected one JSON document, got ${printed.slice(0, 200)}; it said ${said.slice(-4_000)}`));
        }
      },
    );
  });
}

describe('the fault sweep of the site', () => {
  it(
    `[A12] [A13] [A32] [B36] H1, H2, H3, H4, H6, H10: ${SEEDS} seeds, and nothing that must hold is violated`,
    async () => {
      const { code, report } = await runSweep(['--seeds', String(SEEDS)]);
      // Each names the command that replays it.
      expect(report.violations).toEqual([]);
      expect({ code, seeds: report.seeds }).toEqual({ code: 0, seeds: SEEDS });
      // A sweep whose faults never come, or whose changes never end, proves nothing.
      expect(report.faultsInjected).toBeGreaterThan(3 * SEEDS);
      expect(report.ended['confirmed'] ?? 0).toBeGreaterThan(SEEDS / 2);
      expect(report.ended['reverted'] ?? 0).toBeGreaterThan(SEEDS / 2);
      // Every switch to a good release that nothing entitled the site to undo was confirmed, and they are most of them.
      const excused = Object.values(report.good.excused).reduce((sum, times) => sum + times, 0);
      expect(report.good.switched).toBeGreaterThan(SEEDS / 2);
      expect(report.good.confirmed + excused).toBe(report.good.switched);
      expect(report.good.confirmed).toBeGreaterThan(0.6 * report.good.switched);
      // Holds that are placed and files that are changed by hand, and some of them are put back.
      expect(report.people.holds).toBeGreaterThan(SEEDS / 10);
      expect(report.people.drifts).toBeGreaterThan(SEEDS / 20);
      expect(report.people.repaired).toBeGreaterThan(0);
      process.stdout.write(`${JSON.stringify({ ...report, violations: report.violations.length })}\n`);
    },
    WITHIN_MS,
  );

  it.each(['14', '158', '900'])('tells the same story of seed %s each time', async (seed) => {
    const told = async () => (await runSweep(['--seed', seed])).said;
    const first = await told();
    expect(first).toContain(`seed ${seed}`);
    expect(first.split('\n').length).toBeGreaterThan(40);
    expect(await told()).toBe(first);
  });
});
