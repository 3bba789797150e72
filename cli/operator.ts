/** Who acts, and why: what every verb carries. Self-asserted until identity is proven. */
import { hostname, userInfo } from 'node:os';
import { MistakeError } from '../policies/model/failure.js';

/** `--by`, else FOOTHOLD_BY, else `user@host`. */
export function operatorName(by: string | undefined, env: NodeJS.ProcessEnv): string {
  const named = by ?? env['FOOTHOLD_BY'];
  if (named !== undefined && named.trim() !== '') return named.trim();
  return `${loginName(env)}@${hostname()}`;
}

// userInfo throws where the uid has no entry (containers).
function loginName(env: NodeJS.ProcessEnv): string {
  try {
    return userInfo().username;
  } catch {
    return env['USER'] ?? 'unknown';
  }
}

/** Throws MistakeError if there is none: a decision without a reason helps nobody who reads the evidence. */
export function requireReason(reason: string | undefined, verb: string): string {
  if (reason !== undefined && reason.trim() !== '') return reason.trim();
  throw new MistakeError('BAD_ARGUMENT', `expected --reason "why", got none, at ${verb}: it goes into the evidence`);
}
