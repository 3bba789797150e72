/** How an error leaves the command: one block on standard error, or one document on standard output (design §7). */
import { MistakeError, WorldError } from '../../policies/model/failure.js';
import { EXIT, type ExitCode } from '../answer.js';
import type { Paint } from './paint.js';

export interface Failure {
  exit: ExitCode;
  code: string;
  message: string;
  details: string[];
  /** A defect of Foothold: what it could not foresee. */
  bug: boolean;
}

/** The caller's mistake, the world's fault, or a bug: a bug also ends with 3, because asking differently does not help. */
export function failureOf(error: unknown): Failure {
  if (error instanceof MistakeError) {
    return { exit: EXIT.mistake, code: error.code, message: error.message, details: error.details, bug: false };
  }
  if (error instanceof WorldError) {
    return { exit: EXIT.world, code: error.code, message: error.message, details: causes(error), bug: false };
  }
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const message = 'this is a defect of Foothold: please report it with the lines below';
  return { exit: EXIT.world, code: 'INTERNAL', message, details: stack.split('\n'), bug: true };
}

function causes(error: Error): string[] {
  const found: string[] = [];
  let cause: unknown = error.cause;
  while (cause instanceof Error && found.length < 5) {
    const text = cause.message || cause.name;
    if (!error.message.includes(text)) found.push(`because: ${text}`);
    cause = cause.cause;
  }
  return found;
}

export function playbookOf(code: string): string {
  return `docs/playbooks/${code}.md`;
}

export function failureText(failure: Failure, paint: Paint): string {
  const lines = [`${paint('red', 'error')} ${paint('bold', failure.code)}: ${failure.message}`];
  // A loader with one finding says it twice: as its message and as its only detail.
  const details = failure.details.filter((detail) => detail !== failure.message);
  lines.push(...details.map((detail) => `  ${detail}`));
  if (!failure.bug) lines.push(`  see ${playbookOf(failure.code)}`);
  return `${lines.join('\n')}\n`;
}

export function failureDocument({ code, message, details }: Failure): unknown {
  return { error: { code, message, details } };
}
