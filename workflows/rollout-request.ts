/** Reading the request as people write it: anything else is refused with the form that was expected. */
import type { ApplicationFailure } from '@temporalio/common';
import type { RolloutRequest } from '../policies/model/rollout.js';
import { refusal } from './refusal.js';

const EXPECTED = 'expected {"release": "<stream>@<version>", "strategy": "<name>"}';
const TEXTS = ['by', 'reason', 'planDigest', 'supersede'] as const;
const KNOWN = ['release', 'strategy', 'only', ...TEXTS, 'catchUp'];

/** Throws what a refused rollout fails with. `only` is read where the fleet is. */
export function readRequest(input: unknown): RolloutRequest {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw bad(`got ${input === null ? 'null' : Array.isArray(input) ? 'a list' : typeof input}`);
  }
  const { release, strategy, catchUp } = input as Record<string, unknown>;
  if (typeof release !== 'string' || !/^[^@\s]+@[^@\s]+$/.test(release)) throw bad('"release" is not of this form');
  if (typeof strategy !== 'string' || strategy === '') throw bad('"strategy" is missing');
  const unknown = Object.keys(input).find((key) => !KNOWN.includes(key));
  if (unknown !== undefined) throw bad(`"${unknown}" is not known; known are ${KNOWN.join(', ')}`);
  for (const key of TEXTS) {
    const value = (input as Record<string, unknown>)[key];
    if (value !== undefined && typeof value !== 'string') throw bad(`"${key}" is no text`);
  }
  if (catchUp !== undefined && !isCatchUp(catchUp))
    throw bad('"catchUp" is {"of": "<first run id>", "sites": ["<id>"]}');
  return input as RolloutRequest;
}

function isCatchUp(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { of, sites } = value as Record<string, unknown>;
  return typeof of === 'string' && Array.isArray(sites) && sites.every((site) => typeof site === 'string');
}

function bad(what: string): ApplicationFailure {
  return refusal('BAD_INPUT', `${EXPECTED}: ${what}`);
}
