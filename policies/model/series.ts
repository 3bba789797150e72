/** Which series of an exporter a `metric` check means: `name{label="value",other!="value"}`. */

/** `equal: false` is `!=`. A label that is not there equals the empty text, as in Prometheus. */
export interface SeriesSelector {
  name: string;
  matchers: { label: string; equal: boolean; value: string }[];
}

export const METRIC_NAME = /[a-zA-Z_:][a-zA-Z0-9_:]*/;
const NAME = new RegExp(`^${METRIC_NAME.source}`);
const MATCHER = /^\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*"((?:[^"\\\n]|\\.)*)"\s*(,|$)/;

/** Undefined: it is not of this form. */
export function parseSelector(text: string): SeriesSelector | undefined {
  const name = NAME.exec(text)?.[0];
  if (name === undefined) return undefined;
  const rest = text.slice(name.length).trim();
  if (rest === '') return { name, matchers: [] };
  if (!rest.startsWith('{') || !rest.endsWith('}')) return undefined;
  const matchers: SeriesSelector['matchers'] = [];
  for (let open = rest.slice(1, -1).trim(); open !== '';) {
    const [whole, label, operator, value] = MATCHER.exec(open) ?? [];
    if (whole === undefined || label === undefined || value === undefined) return undefined;
    if (operator !== '=' && operator !== '!=') return undefined;
    matchers.push({ label, equal: operator === '=', value: unescapeLabel(value) });
    open = open.slice(whole.length).trim();
  }
  return { name, matchers };
}

export function matchesSelector(selector: SeriesSelector, name: string, labels: ReadonlyMap<string, string>): boolean {
  if (selector.name !== name) return false;
  return selector.matchers.every(({ label, equal, value }) => ((labels.get(label) ?? '') === value) === equal);
}

/** `\\`, `\"` and `\n` as the text format writes them; a backslash before anything else stays. */
export function unescapeLabel(text: string): string {
  return text.replace(/\\([\\"n])/g, (_, one: string) => (one === 'n' ? '\n' : one));
}
