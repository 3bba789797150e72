/** Sites as a table: a header row of field names, one row a site, lists with `|`, `vars.workers` for what is nested. */
import type { Path } from '../../policies/model/fault.js';
import { SiteFile } from '../../policies/model/fleet.js';
import { nearestName } from '../../policies/model/nearest.js';
import type { ReasonCode } from '../../policies/model/reasons.js';
import { refusal, type Finding, type Located, type Position, type SourceFile } from './located.js';
import { splitRows, type Field } from './csv-rows.js';
import { definition, unwrap } from './schema-shape.js';

const COLUMNS = Object.keys(SiteFile.shape);
const LISTS = Object.entries(SiteFile.shape)
  .filter(([, field]) => definition(unwrap(field)).type === 'array')
  .map(([name]) => name);
const NESTED = ['vars', 'versions'];

/** `text` as `{ sites: [...] }`. Throws MistakeError `code` with every finding in `details`. */
export function parseSitesCsv(path: string, text: string, code: ReasonCode): SourceFile {
  const { rows, findings } = splitRows(path, text);
  const [header, ...body] = rows;
  if (!header) throw refusal(code, [...findings, { path, at: { line: 1, column: 1 }, message: NO_HEADER }]);
  findings.push(...headerFindings(path, header));
  for (const row of body) findings.push(...lengthFindings(path, header, row));
  if (findings.length > 0) throw refusal(code, findings);
  const sites = body.map((row) => siteOf(header, row));
  const at = { line: 1, column: 1 };
  const list: Located = { at, below: new Map(sites.map((site, i) => [i, site.located])) };
  const below = new Map<string | number, Located>([['sites', list]]);
  return { path, data: { sites: sites.map((site) => site.data) }, root: { at, below } };
}

const NO_HEADER = 'expected a header row with the names of the columns, found an empty file';

function headerFindings(path: string, header: Field[]): Finding[] {
  const names = header.map((field) => field.text);
  const findings = header.flatMap(({ text, at }, i): Finding[] => {
    if (names.indexOf(text) < i) return [{ path, at, message: `the column \`${text}\` is there twice` }];
    const hint = columnHint(text);
    return hint === undefined ? [] : [{ path, at, message: `unknown column \`${text}\`${hint}` }];
  });
  if (names.includes('id')) return findings;
  return [...findings, { path, at: { line: 1, column: 1 }, message: 'expected a column `id`, found none' }];
}

/** What to write instead of a column that is not known; undefined for one that is. */
function columnHint(column: string): string | undefined {
  const [top = '', ...rest] = column.split('.');
  if (NESTED.includes(top)) {
    const name = rest.join('.');
    return name === '' || name === '__proto__'
      ? `; expected the name of one of them, as in \`${top}.name\``
      : undefined;
  }
  if (COLUMNS.includes(column)) return undefined;
  if (/[;\t]/.test(column)) return '; columns are separated by commas';
  const near = nearestName(column, COLUMNS);
  if (near !== undefined) return `; the nearest known column is \`${near}\``;
  return `; known columns: ${COLUMNS.map((name) => (NESTED.includes(name) ? `${name}.…` : name)).join(', ')}`;
}

function lengthFindings(path: string, header: Field[], row: Field[]): Finding[] {
  const first = row[0];
  if (!first || row.length === header.length) return [];
  const message = `expected ${header.length} fields as in the header, found ${row.length}`;
  return [{ path, at: first.at, message }];
}

function siteOf(header: Field[], row: Field[]): { data: Record<string, unknown>; located: Located } {
  const data: Record<string, unknown> = {};
  const located: Located = { at: row[0]?.at ?? { line: 1, column: 1 }, below: new Map() };
  row.forEach((field, i) => {
    const column = header[i]?.text ?? '';
    if (field.text === '' && !field.quoted) return;
    const top = NESTED.find((name) => column.startsWith(`${name}.`));
    const target: Path = top === undefined ? [column] : [top, column.slice(top.length + 1)];
    put(data, located, target, valueOf(field, column), field.at);
  });
  return { data, located };
}

function put(
  data: Record<string, unknown>,
  located: Located,
  [key, ...rest]: Path,
  value: unknown,
  at: Position,
): void {
  const name = String(key);
  const below = (located.below ??= new Map());
  if (rest.length === 0) {
    Object.defineProperty(data, name, { value, enumerable: true, writable: true, configurable: true });
    below.set(name, {
      at,
      keyAt: at,
      ...(Array.isArray(value) && { below: new Map(value.map((_, i) => [i, { at }])) }),
    });
    return;
  }
  const inner = (data[name] ??= {}) as Record<string, unknown>;
  const place: Located = below.get(name) ?? { at, keyAt: at };
  below.set(name, place);
  put(inner, place, rest, value, at);
}

function valueOf(field: Field, column: string): unknown {
  if (LISTS.includes(column)) {
    return field.text
      .split('|')
      .map((entry) => entry.trim())
      .filter((entry) => entry !== '');
  }
  return column.startsWith('vars.') && !field.quoted ? scalarOf(field.text) : field.text;
}

/** Unquoted numbers and true/false are what they look like; what a double would change stays text. */
function scalarOf(text: string): unknown {
  if (text === 'true' || text === 'false') return text === 'true';
  if (!/^-?(0|[1-9]\d*)(\.\d+)?$/.test(text)) return text;
  const number = Number(text);
  return Number.isInteger(number) && !Number.isSafeInteger(number) ? text : number;
}
