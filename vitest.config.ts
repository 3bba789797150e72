/** Three kinds of tests: `unit` is fast and runs in `npm run check`; `replay` and `integration` run in `npm test` only. */
import { defineConfig } from 'vitest/config';

const rooms = ['policies', 'records', 'site', 'activities', 'workflows', 'worker', 'cli', 'infra', 'bench', 'faults'];

/** Of the rooms, but slow or with processes of their own: run with the integration tests. */
const slow = [
  'test/lint.test.ts',
  'test/site/door.test.ts',
  'test/site/uplink.test.ts',
  'test/infra/dev/process.test.ts',
  'test/infra/dev/load.test.ts',
  'test/infra/setup/debian.test.ts',
  'test/infra/setup/cache.test.ts',
  'test/activities/gate/sample-gate.test.ts',
  'test/cli/day-two.test.ts',
];

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
          testTimeout: 300_000,
          hookTimeout: 120_000,
          // Each file has its own servers; two sets at once on two cores would time out for lack of processor, not of correctness.
          fileParallelism: false,
        },
      },
    ],
  },
});
