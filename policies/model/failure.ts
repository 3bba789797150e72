/** The three families of errors (design §7): the caller's mistake, the world's fault, and a bug (everything else). */
import type { ReasonCode } from './reasons.js';

/** The caller's mistake: exit code 2, never retried. The message names what was expected, where, and what to do. */
export class MistakeError extends Error {
  override readonly name = 'MistakeError';
  constructor(
    readonly code: ReasonCode,
    message: string,
    /** Further findings, one a line. */
    readonly details: string[] = [],
  ) {
    super(message);
  }
}

/** The world's fault: unreachable, timed out, broken; exit code 3, worth a retry. */
export class WorldError extends Error {
  override readonly name = 'WorldError';
  constructor(
    readonly code: ReasonCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
