/** Reading the text that an exporter shows (Prometheus text format 0.0.4), as strictly as Prometheus does. */
import { matchesSelector, METRIC_NAME, unescapeLabel, type SeriesSelector } from '../../policies/model/series.js';
import { beginningOf } from '../../policies/site/cut-text.js';

export interface ExposedSample {
  name: string;
  labels: ReadonlyMap<string, string>;
  value: number;
}

const NAME = new RegExp(`^${METRIC_NAME.source}`);
const LABEL = /^[ \t]*([a-zA-Z_][a-zA-Z0-9_]*)[ \t]*=[ \t]*"((?:[^"\\\n]|\\.)*)"[ \t]*(,|(?=\}))/;
const VALUE = /^[ \t]*(\S+)(?:[ \t]+(-?\d+))?[ \t]*$/;
const FIGURE = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

/** Every sample, in order. Throws SyntaxError naming the line: half a page is no page. */
export function parseExposition(text: string): ExposedSample[] {
  const samples: ExposedSample[] = [];
  const seen = new Set<string>();
  for (const [i, line] of text.split('\n').entries()) {
    const written = line.trim();
    if (written === '' || written.startsWith('#')) continue;
    const sample = parseSample(written);
    if (!sample) throw new SyntaxError(`line ${i + 1} is no sample: ${beginningOf(written, 80)}`);
    const key = keyOf(sample);
    if (seen.has(key)) throw new SyntaxError(`line ${i + 1} repeats a series: ${beginningOf(written, 80)}`);
    seen.add(key);
    samples.push(sample);
  }
  return samples;
}

/** The values of the series that are meant, by name and labels. */
export function selectSeries(samples: readonly ExposedSample[], selector: SeriesSelector): Map<string, number> {
  const meant = samples.filter(({ name, labels }) => matchesSelector(selector, name, labels));
  return new Map(meant.map((sample) => [keyOf(sample), sample.value]));
}

function keyOf({ name, labels }: ExposedSample): string {
  return JSON.stringify([name, ...[...labels].sort(([a], [b]) => (a < b ? -1 : 1))]);
}

function parseSample(line: string): ExposedSample | undefined {
  const name = NAME.exec(line)?.[0];
  if (name === undefined) return undefined;
  const labels = new Map<string, string>();
  let rest = line.slice(name.length).trimStart();
  if (rest.startsWith('{')) {
    rest = rest.slice(1);
    for (let found = LABEL.exec(rest); found; found = LABEL.exec(rest)) {
      const [whole, label = '', value = ''] = found;
      if (labels.has(label)) return undefined;
      labels.set(label, unescapeLabel(value));
      rest = rest.slice(whole.length);
    }
    rest = rest.trimStart();
    if (!rest.startsWith('}')) return undefined;
    rest = rest.slice(1);
  } else if (rest.length === line.length - name.length) return undefined;
  const value = figureOf(VALUE.exec(rest)?.[1]);
  return value === undefined ? undefined : { name, labels, value };
}

function figureOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^nan$/i.test(text)) return NaN;
  if (/^[+]?inf(inity)?$/i.test(text)) return Infinity;
  if (/^-inf(inity)?$/i.test(text)) return -Infinity;
  return FIGURE.test(text) ? Number(text) : undefined;
}
