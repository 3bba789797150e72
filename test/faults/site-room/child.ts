/** A process of the sweep: patches what the site takes from Node, then runs seeds one after another. */
import { patchDatabase } from './database.js';
import { patchDisk } from './disk.js';
import { patchPrograms } from './programs.js';
import { patchTime } from './time.js';
import { SiteScenario, type SiteOutcome } from './scenario.js';

let current: SiteScenario | undefined;
const send = process.send?.bind(process);
const { now } = Date;

patchTime(
  () => current?.wall() ?? now(),
  () => current?.random() ?? 0.5,
);
patchDisk();
patchPrograms();
patchDatabase();
process.on('unhandledRejection', (error) => current?.crash(error));
process.on('uncaughtException', (error) => current?.crash(error));

process.on('message', (seeds: number[]) => {
  void (async () => {
    for (const seed of seeds) send?.(await runSeed(seed));
    process.disconnect();
  })();
});

/** A seed that could not be judged has not passed. */
async function runSeed(seed: number): Promise<SiteOutcome> {
  current = new SiteScenario(seed);
  try {
    return await current.run();
  } catch (error) {
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return {
      seed,
      faults: 0,
      results: [],
      good: { switched: 0, confirmed: 0, excused: {} },
      people: { holds: 0, drifts: 0, repaired: 0 },
      violations: [{ invariant: 'the seed can be judged', detail }],
      story: current.told,
    };
  }
}
