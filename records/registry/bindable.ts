/** What a statement may bind, the same for every database: text, numbers, nothing. */
import { MistakeError } from '../../policies/model/failure.js';

/**
 * SQLite's native part ends the process on a boolean and cuts text at a NUL; PostgreSQL takes no NUL and rounds no
 * fraction into a whole number. None of it is left to them.
 */
export function checkBindable(parameters: readonly unknown[]): void {
  for (const value of parameters) {
    if (value === null || typeof value === 'number') continue;
    if (typeof value !== 'string') throw new TypeError(`the registry stores no ${typeof value}`);
    if (value.includes('\0'))
      throw new MistakeError('BAD_INPUT', `expected text, got a NUL character in ${JSON.stringify(value)}`);
  }
}
