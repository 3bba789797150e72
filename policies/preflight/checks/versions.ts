/** `requires`, `conflicts` and declared versions: held against what the site reports (design §6). */
import { parse, satisfies } from 'semver';
import type { SiteReport } from '../../model/report.js';
import type { Objection, SiteCheck } from '../checks.js';

/** Agents name what they adopted so: it says that something is live, not which version it is. */
const ADOPTED = /^0\.0\.0-adopted\b/;

/** A version that is not reported, or that cannot be read, meets no requirement. */
export const requires: SiteCheck = {
  name: 'requires',
  needsReport: true,
  atSite: true,
  judge({ release }, { report }) {
    return Object.entries(release.requires).flatMap(([name, range]) => {
      const found = reportedVersion(report, name);
      const wish = `requires ${name} ${range}`;
      if (typeof found !== 'string') return [block('REQUIRES_UNKNOWN', `${wish}, the site ${found.unknown}`)];
      if (inRange(found, range)) return [];
      return [block('REQUIRES_UNMET', `${wish}, the site reports ${found}`)];
    });
  },
};

/** A version that cannot be read may be the one that must not be there. */
export const conflicts: SiteCheck = {
  name: 'conflicts',
  needsReport: true,
  atSite: true,
  judge({ release, fleetStreams }, { report, streams }) {
    return Object.entries(release.conflicts).flatMap(([name, range]) => {
      const found = reportedVersion(report, name);
      const wish = `conflicts with ${name} ${range}`;
      if (typeof found === 'string') {
        return inRange(found, range) ? [block('CONFLICTS', `${wish}, the site reports ${found}`)] : [];
      }
      if (found.absent && canBeAbsent(name, streams, fleetStreams)) return [];
      return [block('REQUIRES_UNKNOWN', `${wish}, the site ${found.unknown}`)];
    });
  },
};

/** The fleet file only declares; what the site reports decides, and the difference is shown. */
export const declared: SiteCheck = {
  name: 'declared',
  needsReport: true,
  atSite: false,
  judge(_release, { report, declaredVersions }) {
    return Object.entries(declaredVersions).flatMap(([name, version]) => {
      const reported = ownValue(report?.versions, name);
      if (reported === undefined || reported === version) return [];
      const detail = `${name}: the fleet file declares ${version}, the site reports ${reported}`;
      return [{ result: 'warn', code: 'VERSION_DIFFERS', detail }];
    });
  },
};

/** A stream means its live release, any other name a version that the agent reads and reports. */
function reportedVersion(report: SiteReport | undefined, name: string): string | { unknown: string; absent: boolean } {
  const stream = ownValue(report?.streams, name);
  const found = stream?.live?.version ?? ownValue(report?.versions, name);
  if (found === undefined) {
    const unknown = stream === undefined ? `does not report ${name}` : `reports nothing live for stream ${name}`;
    return { unknown, absent: stream === undefined };
  }
  if (ADOPTED.test(found))
    return { unknown: `adopted what it found, its version of ${name} is not known`, absent: false };
  if (parse(found) === null)
    return { unknown: `reports ${name} ${found}, which is not a semver version`, absent: false };
  return found;
}

/**
 * A stream of the fleet that this site does not list never reaches it, so it cannot conflict. At the site the fleet is
 * unknown, and what it does not report was judged by the centre.
 */
function canBeAbsent(name: string, streams: readonly string[], fleetStreams: ReadonlySet<string> | undefined): boolean {
  return fleetStreams === undefined || (fleetStreams.has(name) && !streams.includes(name));
}

function inRange(version: string, range: string): boolean {
  return satisfies(version, range, { includePrerelease: true });
}

function ownValue<T>(record: Readonly<Record<string, T>> | undefined, key: string): T | undefined {
  return record !== undefined && Object.hasOwn(record, key) ? record[key] : undefined;
}

function block(code: Objection['code'], detail: string): Objection {
  return { result: 'block', code, detail };
}
