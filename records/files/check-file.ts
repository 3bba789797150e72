/** From a file's data to a checked value: kind, fields not available yet, shape, then the rules between fields. */
import type { z } from 'zod';
import type { Fault } from '../../policies/model/fault.js';
import { nearestName } from '../../policies/model/nearest.js';
import { KINDS_NOT_YET, notYetFaults } from '../../policies/model/not-yet.js';
import type { ReasonCode } from '../../policies/model/reasons.js';
import { describeValue, explainIssues } from './explain-issues.js';
import { findingOf, refusal, type SourceFile } from './located.js';

export const KINDS = ['Release', 'Strategy', 'Fleet', 'Project', 'Agent'] as const;
export type Kind = (typeof KINDS)[number];

interface Wanted<S extends z.ZodType> {
  kind: Kind;
  schema: S;
  code: ReasonCode;
  /** What must hold between fields; asked only of a file whose shape is right. */
  rules?: (value: z.output<S>) => Fault[];
}

/** The file's value with defaults filled in. Throws MistakeError `code` with every finding in `details`. */
export function checkFile<S extends z.ZodType>(source: SourceFile, wanted: Wanted<S>): z.output<S> {
  const kind = kindFaults(source.data, wanted.kind);
  if (kind.length > 0) throw refuse(source, kind, wanted.code);
  return checkData(source, wanted);
}

/** The same for data that has no kind of its own, such as an included list of sites. */
export function checkData<S extends z.ZodType>(source: SourceFile, wanted: Wanted<S>): z.output<S> {
  const notYet = notYetFaults(wanted.kind, source.data);
  const read = wanted.schema.safeParse(source.data);
  const shape = read.success ? [] : explainIssues(wanted.schema, source.data, read.error.issues);
  const rules = read.success ? (wanted.rules?.(read.data) ?? []) : [];
  const faults = [...notYet, ...[...shape, ...rules].filter((fault) => !notYet.some((known) => covers(known, fault)))];
  if (read.success && faults.length === 0) return read.data;
  throw refuse(source, faults, wanted.code);
}

/** What the file says it is, or undefined if it does not say it as text. */
export function kindOf(data: unknown): string | undefined {
  const kind = typeof data === 'object' && data !== null && 'kind' in data ? data.kind : undefined;
  return typeof kind === 'string' ? kind : undefined;
}

/** Faults of the file's `kind`; `wanted` is one of KINDS, or undefined where any of them will do. */
export function kindFaults(data: unknown, wanted?: Kind): Fault[] {
  if (typeof data !== 'object' || data === null || Array.isArray(data)) {
    return [
      {
        path: [],
        message: `expected a map that begins with \`apiVersion\` and \`kind\`, found ${describeValue(data)}`,
      },
    ];
  }
  const kind = kindOf(data);
  const expected = wanted === undefined ? KINDS.map((each) => `\`${each}\``).join(', ') : `\`${wanted}\``;
  if (kind === undefined) return [{ path: ['kind'], message: `expected \`kind\` to be ${expected}, found nothing` }];
  if (KINDS_NOT_YET.includes(kind)) return [{ path: ['kind'], message: `kind \`${kind}\` is not available yet` }];
  if (wanted === undefined ? KINDS.some((each) => each === kind) : kind === wanted) return [];
  const near = wanted === undefined ? nearestName(kind, KINDS) : undefined;
  const hint = near === undefined ? '' : `; the nearest is \`${near}\``;
  return [{ path: ['kind'], message: `expected \`kind\` to be ${expected}, found \`${kind}\`${hint}` }];
}

export function refuse(source: SourceFile, faults: Fault[], code: ReasonCode) {
  return refusal(
    code,
    faults.map((fault) => findingOf(source, fault)),
  );
}

/** A field that is refused by name needs no further word about what it holds. */
function covers(known: Fault, fault: Fault): boolean {
  return known.path.length <= fault.path.length && known.path.every((part, i) => part === fault.path[i]);
}
