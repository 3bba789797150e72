/** Data with the place in the file that each part came from, and findings that name it. */
import { MistakeError } from '../../policies/model/failure.js';
import { pathText, type Fault, type Path } from '../../policies/model/fault.js';
import type { ReasonCode } from '../../policies/model/reasons.js';

/** Both count from 1; columns count UTF-16 units, as editors do. */
export interface Position {
  line: number;
  column: number;
}

/** One value of a file: where it is, where its key is, and what is below it. */
export interface Located {
  at: Position;
  keyAt?: Position;
  below?: Map<string | number, Located>;
}

/** A file that was read: its data, and where everything in it stands. */
export interface SourceFile {
  path: string;
  data: unknown;
  root: Located;
}

/** One thing wrong, as people see it: `file:line:column: what was expected, what was found`. */
export interface Finding {
  path: string;
  at: Position;
  message: string;
}

/** The place of `path`; where a part of it is missing, the place of what it is missing from. */
export function placeOf(source: SourceFile, path: Path, on?: 'key'): Position {
  let here = source.root;
  for (const part of path) {
    const next = here.below?.get(part);
    if (!next) return here.at;
    here = next;
  }
  return on === 'key' ? (here.keyAt ?? here.at) : here.at;
}

export function findingOf(source: SourceFile, fault: Fault): Finding {
  const where = pathText(fault.on === 'key' ? fault.path.slice(0, -1) : fault.path);
  const first = fault.first ? `; first at ${placeText(source.path, placeOf(source, fault.first))}` : '';
  const message = `${where === '' ? '' : `${where}: `}${fault.message}${first}`;
  return { path: source.path, at: placeOf(source, fault.path, fault.on), message };
}

export function placeText(path: string, { line, column }: Position): string {
  return `${path}:${line}:${column}`;
}

function findingText({ path, at, message }: Finding): string {
  return `${placeText(path, at)}: ${message}`;
}

/** The error for a file that is not valid: the first finding as its message, all of them, in order, as its details. */
export function refusal(code: ReasonCode, findings: Finding[]): MistakeError {
  const ordered = [...findings].sort(
    (a, b) => a.path.localeCompare(b.path) || a.at.line - b.at.line || a.at.column - b.at.column,
  );
  const lines = [...new Set(ordered.map(findingText))];
  const more = lines.length > 1 ? ` (and ${lines.length - 1} more)` : '';
  const error = new MistakeError(code, `${lines[0] ?? 'the file is not valid'}${more}`, lines);
  carried.set(error, ordered);
  return error;
}

/** Findings of an error thrown by `refusal`, to be told together with others; any other error goes on its way. */
export function findingsIn(error: unknown): Finding[] {
  const found = error instanceof MistakeError ? carried.get(error) : undefined;
  if (!found) throw error;
  return found;
}

export function refuseIfAny(code: ReasonCode, findings: Finding[]): void {
  if (findings.length > 0) throw refusal(code, findings);
}

const carried = new WeakMap<MistakeError, Finding[]>();
