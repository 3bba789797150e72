/** `metric`: scrapes a local exporter, and judges the figures over the window that it has seen itself. */
import type { MetricCheck } from '../../policies/model/check.js';
import { parseSelector, type SeriesSelector } from '../../policies/model/series.js';
import { judgeMetric, keepScrapes, type Scrape } from '../../policies/site/judge-metric.js';
import { ask } from './ask.js';
import { parseExposition, selectSeries } from './exposition.js';
import type { CheckSample, Probe } from './probe.js';

const MOST = 8 * 1024 * 1024;

/** What was scraped before it is opened does not count: its figures are of the release before. */
export function openMetric(check: MetricCheck, elapsed: () => number): Probe {
  let scrapes: Scrape[] = [];
  return async (signal) => {
    const series = parseSelector(check.series);
    const per = check.per === undefined ? undefined : parseSelector(check.per);
    if (!series || (check.per !== undefined && !per)) return unjudged(`no series: ${check.series}, ${check.per ?? ''}`);
    const at = elapsed();
    const answer = await ask({ address: check.metric, most: MOST, timeout: check.timeout }, signal);
    if ('failure' in answer) return unjudged(answer.failure);
    if (answer.status !== 200) return unjudged(`the exporter answered ${answer.status}, expected 200`);
    const scrape = read(answer.text, at, series, per);
    if ('refused' in scrape) return unjudged(`what the exporter shows cannot be read: ${scrape.refused}`);
    scrapes = keepScrapes([...scrapes, scrape], check.rate);
    return judgeMetric(scrapes, check);
  };
}

function read(text: string, at: number, series: SeriesSelector, per?: SeriesSelector): Scrape | { refused: string } {
  try {
    const samples = parseExposition(text);
    return { at, series: selectSeries(samples, series), ...(per ? { per: selectSeries(samples, per) } : {}) };
  } catch (error) {
    if (error instanceof SyntaxError) return { refused: error.message };
    throw error;
  }
}

function unjudged(detail: string): CheckSample {
  return { passed: false, inconclusive: true, detail };
}
