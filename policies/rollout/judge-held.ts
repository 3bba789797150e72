/**
 * Whether a person keeps a site from being given anything new: by a hold at the site, as it reports it, by one at the
 * centre, by safe mode, or with an agent that only observes (design §4.7 "deferred", §5 rule 12). An undo is never asked about.
 */
import type { CentralHold } from '../model/hold.js';
import type { SiteReport } from '../model/report.js';
import type { Reason } from '../model/verdict.js';

export type Held = Reason & { until?: number };

export interface KnownSite {
  report: SiteReport;
  /** By the centre's clock. */
  receivedAt: number;
}

/** Of several the one that lasts longest. */
export function judgeHeld(
  site: string,
  stream: string,
  known: KnownSite | undefined,
  holds: readonly CentralHold[],
  now: number,
): Held | undefined {
  const found = [...byItself(stream, known), ...byCentre(site, stream, holds)];
  return found.filter(({ until }) => until === undefined || until > now).sort((a, b) => endOf(b) - endOf(a))[0];
}

const endOf = ({ until = Infinity }: Held): number => until;

function byItself(stream: string, known: KnownSite | undefined): Held[] {
  if (!known) return [];
  const { report, receivedAt } = known;
  const held: Held[] = [];
  if (report.observing) held.push({ code: 'OBSERVING', detail: 'its agent was started with --observe' });
  const safe = safeModeOf(report, stream);
  if (safe !== undefined) held.push({ code: 'SAFE_MODE', detail: `${safe}; a person at the site has to look` });
  for (const { stream: of, by, reason, endsIn } of report.holds ?? []) {
    if (of !== undefined && of !== stream) continue;
    // What is left of it is said in time, not as a time: the site's clock may be any.
    const until = endsIn === undefined ? {} : { until: receivedAt + endsIn };
    held.push({ code: 'HELD', detail: `at the site by ${by}: ${reason}`, ...until });
  }
  return held;
}

function safeModeOf({ streams }: SiteReport, stream: string): string | undefined {
  const its = Object.hasOwn(streams, stream) ? streams[stream] : undefined;
  if (its?.safeMode) return `since ${new Date(its.safeMode.at).toISOString()} (${its.safeMode.reason.code})`;
  // An agent of an older version does not say since when, and takes the next release all the same.
  return undefined;
}

function byCentre(site: string, stream: string, holds: readonly CentralHold[]): Held[] {
  return holds
    .filter((hold) => hold.site === site && !hold.lifted && (hold.stream === undefined || hold.stream === stream))
    .map(({ id, by, reason, until }) => {
      return {
        code: 'HELD',
        detail: `${id} at the centre by ${by}: ${reason}`,
        ...(until === undefined ? {} : { until }),
      };
    });
}
