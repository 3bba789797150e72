/** What a `metric` check says of the figures that were scraped (design §5 "Checks"). */

/** One scrape: the selected series and their values. `at` in ms of the elapsed clock. */
export interface Scrape {
  at: number;
  series: ReadonlyMap<string, number>;
  per?: ReadonlyMap<string, number>;
}

export interface MetricQuestion {
  series: string;
  per?: string | undefined;
  several?: 'refuse' | 'sum' | undefined;
  /** Window in ms; absent: the values as they are. */
  rate?: number | undefined;
  below?: number | undefined;
  above?: number | undefined;
}

/** `inconclusive`: could not be judged. `notYet`: for no other reason than that it is too early. */
export interface MetricVerdict {
  passed: boolean;
  inconclusive?: true;
  notYet?: true;
  detail: string;
}

/** A window that was to be 1m and is 2m for want of scrapes is no longer what was asked for. */
const STRETCH = 2;

/** The scrapes that a rate still needs: from the newest that is a window old. */
export function keepScrapes(scrapes: readonly Scrape[], rate: number | undefined): Scrape[] {
  const newest = scrapes.at(-1);
  if (!newest || rate === undefined) return scrapes.slice(-1);
  return scrapes.slice(Math.max(0, baseOf(scrapes, newest.at, rate)));
}

/** Judges the newest scrape. Whatever is missing, several, no number or divided by nothing is never a pass. */
export function judgeMetric(scrapes: readonly Scrape[], asked: MetricQuestion): MetricVerdict {
  const newest = scrapes.at(-1);
  if (!newest) return unjudged('nothing was scraped yet');
  const missing = objection(asked.series, newest.series, asked) ?? perObjection(newest, asked);
  if (missing !== undefined) return unjudged(missing);
  if (asked.rate === undefined) {
    return compare(divide(sum(newest.series), newest.per && sum(newest.per)), asked);
  }
  const base = scrapes[baseOf(scrapes, newest.at, asked.rate)];
  const age = newest.at - (base?.at ?? newest.at);
  if (!base || age > asked.rate * STRETCH) {
    const covered = newest.at - (scrapes[0]?.at ?? newest.at);
    const why =
      base === undefined ? `${Math.round(covered)} of ${asked.rate} ms are covered` : 'scrapes are missing in it';
    return { ...unjudged(`no window yet: ${why}`), notYet: true };
  }
  const window = scrapes.slice(scrapes.indexOf(base));
  const over = (pick: (scrape: Scrape) => ReadonlyMap<string, number> | undefined) =>
    increase(window.flatMap((scrape) => pick(scrape) ?? [])) / (age / 1_000);
  return compare(
    divide(
      over((scrape) => scrape.series),
      asked.per === undefined ? undefined : over((scrape) => scrape.per),
    ),
    asked,
  );
}

/** Index of the newest scrape that is at least a window old; -1 if there is none. */
function baseOf(scrapes: readonly Scrape[], now: number, rate: number): number {
  return scrapes.findLastIndex((scrape) => now - scrape.at >= rate);
}

function perObjection(newest: Scrape, asked: MetricQuestion): string | undefined {
  return asked.per === undefined ? undefined : objection(asked.per, newest.per ?? new Map(), asked);
}

function objection(
  series: string,
  found: ReadonlyMap<string, number>,
  { several }: MetricQuestion,
): string | undefined {
  if (found.size === 0) return `the exporter has no series ${series}`;
  if (found.size === 1 || several === 'sum') return undefined;
  return `${found.size} series are ${series}: name one by its labels, or say \`several: sum\``;
}

function sum(values: ReadonlyMap<string, number>): number {
  return [...values.values()].reduce((total, value) => total + value, 0);
}

/**
 * How much counters grew from scrape to scrape, series by series. One that fell was begun anew, and has grown by what it
 * shows; one that was not there before tells nothing yet.
 */
function increase(scrapes: ReadonlyMap<string, number>[]): number {
  let total = 0;
  for (const [i, values] of scrapes.entries()) {
    const before = scrapes[i - 1];
    if (!before) continue;
    for (const [key, value] of values) {
      const known = before.get(key);
      if (known !== undefined) total += value < known ? value : value - known;
    }
  }
  return total;
}

function divide(value: number, by: number | undefined): number {
  return by === undefined ? value : value / by;
}

function compare(value: number, { below, above, series, per, rate }: MetricQuestion): MetricVerdict {
  const what = `${series}${per === undefined ? '' : ` per ${per}`}${rate === undefined ? '' : ` over ${rate} ms`}`;
  if (!Number.isFinite(value)) return unjudged(`${what} is ${String(value)}, which is no figure`);
  const shown = `${what} is ${String(value)}`;
  if (below !== undefined && value >= below) return { passed: false, detail: `${shown}, expected below ${below}` };
  if (above !== undefined && value <= above) return { passed: false, detail: `${shown}, expected above ${above}` };
  return { passed: true, detail: shown };
}

function unjudged(detail: string): MetricVerdict {
  return { passed: false, inconclusive: true, detail };
}
