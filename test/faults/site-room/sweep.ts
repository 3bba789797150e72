/** Many seeds: shared out over processes, because a simulated machine takes a process for itself. */
import { fileURLToPath } from 'node:url';
import { availableParallelism } from 'node:os';
import { realFork } from './programs.js';
import type { GoodCounts } from './good-changes.js';
import type { SiteOutcome } from './scenario.js';

export interface SiteSweepReport {
  room: 'site';
  seeds: number;
  faultsInjected: number;
  /** How often each result came. */
  ended: Record<string, number>;
  /** Switches to releases that are well: those that nothing entitled the site to undo were all confirmed. */
  good: GoodCounts;
  /** Holds that were placed, files that were changed by hand, and repairs. */
  people: SiteOutcome['people'];
  violations: { seed: number; invariant: string; detail: string; replay: string }[];
}

export interface SiteSweepOptions {
  seeds: number[];
  tell: (line: string) => void;
  onOutcome?: (outcome: SiteOutcome) => void;
}

const CHILD = fileURLToPath(new URL('./child.js', import.meta.url));

export async function sweepSite({ seeds, tell, onOutcome }: SiteSweepOptions): Promise<SiteSweepReport> {
  const good: GoodCounts = { switched: 0, confirmed: 0, excused: {} };
  const people = { holds: 0, drifts: 0, repaired: 0 };
  const report: SiteSweepReport = {
    room: 'site',
    seeds: 0,
    faultsInjected: 0,
    ended: {},
    good,
    people,
    violations: [],
  };
  const take = (outcome: SiteOutcome) => {
    report.seeds += 1;
    report.faultsInjected += outcome.faults;
    addGood(good, outcome.good);
    for (const what of ['holds', 'drifts', 'repaired'] as const) people[what] += outcome.people[what];
    for (const word of outcome.results) report.ended[word] = (report.ended[word] ?? 0) + 1;
    for (const violation of outcome.violations) {
      const replay = `npm run faults -- --room site --seed ${outcome.seed}`;
      report.violations.push({ seed: outcome.seed, ...violation, replay });
    }
    if (report.seeds % 200 === 0) tell(`${report.seeds} of ${seeds.length} seeds, ${report.faultsInjected} faults`);
    onOutcome?.(outcome);
  };
  const lanes = Math.min(availableParallelism(), seeds.length);
  await Promise.all(
    Array.from({ length: lanes }, async (_, lane) =>
      runLane(
        seeds.filter((_one, n) => n % lanes === lane),
        take,
      ),
    ),
  );
  report.violations.sort((a, b) => a.seed - b.seed);
  return report;
}

function addGood(sum: GoodCounts, one: GoodCounts): void {
  sum.switched += one.switched;
  sum.confirmed += one.confirmed;
  for (const [why, times] of Object.entries(one.excused)) sum.excused[why] = (sum.excused[why] ?? 0) + times;
}

async function runLane(seeds: number[], take: (outcome: SiteOutcome) => void): Promise<void> {
  // A program's environment is made of it for each of its checks: the less there is, the better.
  const { PATH } = process.env;
  const child = realFork(CHILD, [], { env: { PATH }, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  await new Promise<void>((resolve, reject) => {
    let left = seeds.length;
    child.on('message', (outcome: SiteOutcome) => {
      take(outcome);
      if (--left === 0) resolve();
    });
    child.on('error', reject);
    child.on('exit', (code) =>
      left === 0 ? resolve() : reject(new Error(`a process of the sweep ended with ${code}`)),
    );
    child.send(seeds);
  });
}
