/** Whether anybody serves the queue that the fleet names: an agent serves its own, and there is no bridge yet. */
import type { SiteCheck } from '../checks.js';

/** A warning: a worker of one's own may stand there. */
export const queue: SiteCheck = {
  name: 'queue',
  needsReport: false,
  atSite: false,
  judge(_release, { id, queue: named }) {
    const own = `site-${id}`;
    if (named === undefined || named === own) return [];
    const detail = `the fleet says queue: ${named}, and the agent serves ${own}: without a bridge its commands wait for nobody`;
    return [{ result: 'warn', code: 'QUEUE_NOT_SERVED', detail }];
  },
};
