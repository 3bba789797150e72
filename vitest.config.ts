/**
 * `unit` is fast and runs in `npm run check`; the others run in `npm test` only: `replay`; `integration`, three files at a
 * time; `background` beside it, at a lower priority; and `alone` after both. How a file comes into one of them:
 * docs/recipes/place-a-slow-test.md.
 */
import { defineConfig } from 'vitest/config';
import { ROOMS } from './infra/setup/steps.mjs';

const rooms = [...ROOMS, 'bench', 'faults'];

/**
 * Of the rooms, but slow, with processes of their own, or putting another module in a module's place, which unit tests share: run with the
 * integration tests.
 */
const slow = [
  'test/lint.test.ts',
  'test/site/broken-reads.test.ts',
  'test/site/check-kept.test.ts',
  'test/site/check-kinds.test.ts',
  'test/site/clock.test.ts',
  'test/site/door.test.ts',
  'test/site/drift.test.ts',
  'test/site/guard-disk.test.ts',
  'test/site/guard.test.ts',
  'test/site/hold.test.ts',
  'test/site/outbox.test.ts',
  'test/site/pending.test.ts',
  'test/site/shared-files.test.ts',
  'test/site/reboot.test.ts',
  'test/site/remade.test.ts',
  'test/site/unbooked.test.ts',
  'test/site/undo-again.test.ts',
  'test/site/watch-confirmed.test.ts',
  'test/site/prefetch.test.ts',
  'test/site/scrub.test.ts',
  'test/site/target-replaced.test.ts',
  'test/site/undo-directory.test.ts',
  'test/site/depot-speed.test.ts',
  'test/site/uplink.test.ts',
  'test/worker/told-again.test.ts',
  'test/workflows/shard-record.test.ts',
  'test/infra/alerts.test.ts',
  'test/infra/dev/process.test.ts',
  'test/infra/dev/load.test.ts',
  'test/infra/dev/relay-faults.test.ts',
  'test/infra/setup/debian.test.ts',
  'test/infra/setup/cache.test.ts',
  'test/activities/gate/sample-gate.test.ts',
  'test/cli/agent-revert.test.ts',
  'test/cli/day-two.test.ts',
  'test/cli/going-back.test.ts',
  'test/cli/owed.test.ts',
  'test/cli/holding.test.ts',
  'test/cli/motion.test.ts',
];

/** Need the processor, and not at any moment: what they judge has no clock but its own, or the patience of minutes. */
const background = [
  'test/integration/faults-site.test.ts',
  'test/integration/site-power-cut.test.ts',
  'test/integration/site-torn.test.ts',
  'test/integration/site-kill.test.ts',
];

/** Fill both cores, or judge how long something takes. */
const alone = [
  'test/integration/faults-centre.test.ts',
  'test/integration/thousand-sites.test.ts',
  'test/integration/temporal-measured.test.ts',
  'test/integration/site-disk-broken.test.ts',
  'test/integration/site-disk-full.test.ts',
  'test/integration/site-nginx.test.ts',
  'test/integration/site-link-faults.test.ts',
  'test/integration/agent-limits.test.ts',
  'test/integration/site-crash.test.ts',
  'test/site/clock.test.ts',
  'test/infra/dev/process.test.ts',
  'test/infra/dev/load.test.ts',
  // Two minutes are enough for it, but not behind everybody else: it was starved there.
  'test/lint.test.ts',
];

const patient = { testTimeout: 300_000, hookTimeout: 120_000 };

export default defineConfig({
  test: {
    pool: 'forks',
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: [...rooms.map((room) => `test/${room}/**/*.test.ts`), 'test/*.test.ts'],
          exclude: slow,
          testTimeout: 20_000,
          // Loading the rooms anew for each file costs more than all unit tests together.
          isolate: false,
          // On two cores one would be the default, and a third of the time is waiting.
          maxWorkers: 2,
        },
      },
      {
        extends: true,
        test: {
          name: 'replay',
          include: ['test/replay/**/*.test.ts', 'test/golden/**/*.test.ts'],
          testTimeout: 60_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts', ...slow],
          exclude: [...background, ...alone],
          ...patient,
          // Measured, such a file keeps less than half a core busy; each worker has ports of its own.
          maxWorkers: 3,
          setupFiles: ['test/infra/lane.ts'],
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'background',
          include: background,
          ...patient,
          fileParallelism: false,
          setupFiles: ['test/infra/beside.ts'],
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: {
          name: 'alone',
          include: alone,
          ...patient,
          fileParallelism: false,
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
});
