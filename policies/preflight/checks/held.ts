/** A person keeps the site from being given anything new. No ground to block: it is given the release once they let it. */
import type { SiteCheck } from '../checks.js';

export const held: SiteCheck = {
  name: 'held',
  needsReport: false,
  atSite: false,
  judge(_release, { held: found }) {
    if (found === undefined) return [];
    const { code, detail, until } = found;
    const end = until === undefined ? '' : `, until ${new Date(until).toISOString()}`;
    return [{ result: 'warn', code, detail: `${detail}${end}; it is deferred, and counts with owed` }];
  },
};
