/** Holds, safe mode and drift of a site in lines. */
import type { CentralHold } from '../../policies/model/hold.js';
import type { DriftReport, SiteHold, SiteReport } from '../../policies/model/report.js';
import { harmless } from './paint.js';
import { clock, span } from './times.js';

export function centralHoldLine(hold: Omit<CentralHold, 'lifted'>, now: number): string {
  const { id, site, stream = 'every stream', until, by, reason } = hold;
  const end = until === undefined ? 'until it is lifted' : `until ${clock(until, now)}`;
  return `${id}  ${site} ${stream} ${end}, by ${harmless(by)}: ${harmless(reason)}`;
}

/** Its end is said in time that is left: the clock of the site may be any. */
export function siteHoldLine({ stream = 'every stream', by, reason, endsIn }: SiteHold): string {
  const end = endsIn === undefined ? 'until it is lifted' : `for another ${span(endsIn)} when it was told`;
  return `at the site  ${stream} ${end}, by ${harmless(by)}: ${harmless(reason)}`;
}

/** Streams in safe mode, and since when. */
export function safeModeLines(report: SiteReport, now: number): string[] {
  return Object.entries(report.streams).flatMap(([stream, { safeMode }]) => {
    if (!safeMode) return [];
    const why = `${safeMode.reason.code} (${safeMode.reason.detail})`;
    const again = safeMode.undoAgainIn === undefined ? '' : `; the undo is made again in ${span(safeMode.undoAgainIn)}`;
    return [harmless(`${stream} since ${clock(safeMode.at, now)}: ${why}; ends by a person at the site${again}`)];
  });
}

const PATHS = 10;

/** Nothing where nothing differs. Times are by the clock of the site. */
export function driftLines(stream: string, drift: DriftReport | undefined, now: number): string[] {
  if (!drift) return [];
  const since = drift.since === undefined ? '' : ` since ${clock(drift.since, now)}`;
  const more = drift.total > PATHS ? [`… ${drift.total} paths in all`] : [];
  const lines = [
    ...drift.paths
      .slice(0, PATHS)
      .map(({ component, path, kind, detail, policy }) => `${kind} ${component}/${path}: ${detail} (${policy})`),
    ...more,
    ...(drift.repair && drift.repair.result !== 'repaired'
      ? [`repair ${drift.repair.result}: ${drift.repair.why}`]
      : []),
    ...(drift.unknown === undefined ? [] : [`not compared: ${drift.unknown}`]),
    ...(drift.adoptable === undefined ? [] : [`can be adopted: ${drift.adoptable}`]),
  ];
  if (lines.length === 0) return [];
  const head = `${stream} against ${drift.against.version}, seen ${clock(drift.at, now)}${since}`;
  return [head, ...lines.map((line) => `  ${line}`)].map(harmless);
}
