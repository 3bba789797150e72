/**
 * What the file format knows and the code does not do yet (design §6). Such a field is refused by name, never ignored:
 * whoever writes it relies on it. Building a feature deletes its lines here.
 */
import { pathText, type Fault, type Path } from './fault.js';

export interface NotYet {
  kind: string;
  /** Path with `[]` for every entry of a list and `*` for every key of a map. */
  at: string;
  /** True for a value that asks for nothing. Without it, the key alone is refused. */
  harmless?: (value: unknown) => boolean;
  /** How the refused thing is named; default: its key. */
  as?: string;
}

const isnt = (refused: string) => (value: unknown) => value !== refused;
const startsNotWith = (prefix: RegExp) => (value: unknown) => typeof value !== 'string' || !prefix.test(value);
const isEmptyList = (value: unknown) => Array.isArray(value) && value.length === 0;

export const NOT_YET: NotYet[] = [
  { kind: 'Release', at: 'undo', harmless: isnt('none'), as: 'undo: none' },
  { kind: 'Release', at: 'secrets', harmless: isEmptyList },
  { kind: 'Strategy', at: 'stages[].spread' },
  { kind: 'Strategy', at: 'stages[].rehearse', harmless: (value) => value === false },
  { kind: 'Strategy', at: 'stages[].approve' },
  { kind: 'Strategy', at: 'gates.*.metrics[].source', harmless: isnt('sites'), as: 'source: sites' },
  { kind: 'Fleet', at: 'linkClasses.*.clockTolerance' },
  { kind: 'Fleet', at: 'linkClasses.*.syncGap' },
  { kind: 'Fleet', at: 'defaults.timezone' },
  { kind: 'Fleet', at: 'groups.region.*.timezone' },
  { kind: 'Fleet', at: 'groups.cluster.*.timezone' },
  { kind: 'Fleet', at: 'sites[].timezone' },
  { kind: 'Fleet', at: 'sites[].neighbours' },
  { kind: 'Fleet', at: 'sites[].dependsOn' },
  { kind: 'Project', at: 'windows' },
  { kind: 'Project', at: 'guardrails' },
  { kind: 'Project', at: 'depot.write', harmless: startsNotWith(/^s3:/), as: 'write: s3://' },
];

/** Kinds of file that the format knows and nothing reads yet. */
export const KINDS_NOT_YET = ['Windows', 'Guardrails'];

/** Every use in `data`, as it was written, of what is not available yet. */
export function notYetFaults(kind: string, data: unknown): Fault[] {
  return NOT_YET.filter((entry) => entry.kind === kind).flatMap((entry) =>
    occurrences(data, steps(entry.at))
      .filter(({ value }) => !entry.harmless?.(value))
      .map(({ path }) => ({
        path,
        on: 'key',
        message: `\`${entry.as ?? pathText(path.slice(-1))}\` is not available yet`,
      })),
  );
}

function steps(at: string): string[] {
  return at.replaceAll('[]', '.[]').split('.');
}

function occurrences(value: unknown, [step, ...rest]: string[], path: Path = []): { path: Path; value: unknown }[] {
  if (step === undefined) return [{ path, value }];
  if (step === '[]') {
    return Array.isArray(value) ? value.flatMap((entry, i) => occurrences(entry, rest, [...path, i])) : [];
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [];
  const entries = Object.entries(value).filter(([key]) => step === '*' || key === step);
  return entries.flatMap(([key, below]) => occurrences(below, rest, [...path, key]));
}
