import { expect, test } from 'vitest';
import type { SiteDoor } from '../../policies/model/site-door.js';
import { siteWorkerOptions } from '../../worker/site-link.js';
import { STREAMS } from '../../worker/site.js';

/** More than any asset type of the examples runs, several times over. */
const BUSY_STREAMS = 40;

test('a revert of each of many streams has a slot beside the converge that it undoes', () => {
  const options = siteWorkerOptions({ site: 'osl-01', queue: 'site-osl-01', door: {} as SiteDoor, streams: STREAMS });
  expect(options.maxConcurrentActivityTaskExecutions).toBeGreaterThanOrEqual(2 * BUSY_STREAMS);
});
