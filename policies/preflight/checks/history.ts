/** What the site's own past says: never reported, quarantined, nothing to go back to (design §2, §5 rules 8, 10). */
import { quarantineOf } from '../facts.js';
import type { SiteCheck } from '../checks.js';

/** No ground to block: the site judges itself when the command arrives, and counts with `owed` until then. */
export const reported: SiteCheck = {
  name: 'reported',
  needsReport: false,
  atSite: false,
  judge(_release, { report }) {
    if (report !== undefined) return [];
    const detail = 'has never reported; checks that need its report are made there when the command arrives';
    return [{ result: 'warn', code: 'NOT_REPORTED', detail }];
  },
};

export const quarantine: SiteCheck = {
  name: 'quarantine',
  needsReport: true,
  atSite: true,
  judge({ ref }, { id, report, allowed }) {
    const held = quarantineOf(report, ref);
    if (held === undefined || allowed) return [];
    const lift = `foothold allow ${ref.stream}@${ref.version} --site ${id} --reason …`;
    return [
      { result: 'block', code: 'QUARANTINED', detail: `failed here before (${held.code}); to try again: ${lift}` },
    ];
  },
};

/** Whether there is something to adopt only the site can see: it answers LKG_MISSING if there is not. */
export const lastKnownGood: SiteCheck = {
  name: 'lkg',
  needsReport: true,
  atSite: false,
  judge({ ref, release }, { report }) {
    const stream =
      report !== undefined && Object.hasOwn(report.streams, ref.stream) ? report.streams[ref.stream] : undefined;
    if (stream?.live !== undefined || release.first) return [];
    const detail = `nothing of stream ${ref.stream} is live yet: the site adopts what it finds, or answers LKG_MISSING`;
    return [{ result: 'warn', code: 'LKG_ADOPTABLE', detail }];
  },
};
