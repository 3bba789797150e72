/**
 * Which confirmed sites a sample is about: "samples belong to the new release" (design §6). Prometheus alone is asked,
 * both for the sample's time t and for t − window; site clocks are never compared with its clock.
 */
import type { Metric } from '../model/strategy.js';
import type { Reason } from '../model/verdict.js';
import { formatDuration } from '../model/duration.js';
import { promqlString, sitesPattern } from './query.js';

/** One site and digest as Prometheus shows it at some time; `scrapedAt` (epoch ms) is when it last saw it. */
export interface ShownRelease {
  site: string;
  digest: string;
  scrapedAt: number;
}

/** `shown`: confirmed sites with the target digest live at t. `covered`: those that also had it at t − window. */
export interface Coverage {
  shown: string[];
  covered: string[];
}

/**
 * Asks for the live digest of each site, whatever the digest and whatever the state label says: a site that shows two
 * digests at once is not known to run either. The value is the time of the scrape, in seconds.
 */
export function releaseQuery(sites: readonly string[], stream: string): string {
  const selector = `foothold_release_info{site=~"${sitesPattern(sites)}",stream="${promqlString(stream)}"}`;
  return `max by (site, digest) (timestamp(${selector}))`;
}

/**
 * `now` and `before` are what Prometheus showed at t and at t − window (both in epoch ms). A scrape that is older than
 * one window does not count: when Prometheus stops scraping it goes on answering from memory for five minutes.
 */
export function coverageOf(question: {
  confirmedSites: readonly string[];
  digest: string;
  at: number;
  window: number;
  now: readonly ShownRelease[];
  before: readonly ShownRelease[];
}): Coverage {
  const { at, window, digest } = question;
  const shownNow = sitesShowing(question.now, digest, at - window);
  const shownBefore = sitesShowing(question.before, digest, at - 2 * window);
  const shown = [...new Set(question.confirmedSites)].filter((site) => shownNow.has(site));
  return { shown, covered: shown.filter((site) => shownBefore.has(site)) };
}

/** Why too few sites are in the figure, or undefined if they suffice. At least one always must be. */
export function coverageShortfall(
  metric: Pick<Metric, 'coverage' | 'window'>,
  confirmedSites: readonly string[],
  coverage: Coverage,
): Reason | undefined {
  const confirmed = new Set(confirmedSites).size;
  if (confirmed === 0) return { code: 'NO_CONFIRMED_SITE', detail: 'no site of the stage has confirmed the release' };
  if (suffices(coverage.covered.length, confirmed, metric.coverage)) return undefined;
  const covered = new Set(coverage.covered);
  const missing = confirmedSites.filter((site) => !covered.has(site));
  const detail =
    `${coverage.covered.length} of ${confirmed} confirmed sites had the release live one window ` +
    `(${formatDuration(metric.window)}) before the sample and at its time, ${coverage.shown.length} at its time; ` +
    `${metric.coverage} are needed; missing: ${someOf(missing)}`;
  const onlyTooEarly = suffices(coverage.shown.length, confirmed, metric.coverage);
  return { code: onlyTooEarly ? 'SAMPLES_PREDATE_SWITCH' : 'GATE_COVERAGE', detail };
}

/** `a, b, c and 7 more`: reasons are read by people, a list of thousands is not. */
export function someOf(names: readonly string[], limit = 5): string {
  const rest = names.length - limit;
  return rest > 0 ? `${names.slice(0, limit).join(', ')} and ${rest} more` : names.join(', ');
}

function sitesShowing(shown: readonly ShownRelease[], digest: string, oldest: number): Set<string> {
  const fresh = shown.filter((one) => one.scrapedAt >= oldest);
  const others = new Set(fresh.filter((one) => one.digest !== digest).map((one) => one.site));
  return new Set(fresh.filter((one) => !others.has(one.site)).map((one) => one.site));
}

/** Whole numbers only: 0.9 × 10 sites must not fail on the last bit. */
function suffices(sites: number, confirmed: number, share: string): boolean {
  const [whole = '0', fraction = ''] = share.replace('%', '').split('.');
  const scale = 10 ** fraction.length;
  return sites >= 1 && sites * 100 * scale >= Number(whole + fraction) * confirmed;
}
