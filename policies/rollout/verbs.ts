/** Reading the payload of a verb (design §4 "Verbs"): never throws, because a signal's handler must not. */
import type { VerbPayload } from '../model/rollout.js';

const LONGEST = 2_000;

/** The type of a refusal by a rollout that is sealed, and about to let go of its lock: who wants the stream has only to wait. */
export const SEALED = 'SEALED';

/** The payload, or in words what was expected. A missing payload is refused: who and why are part of the record. */
export function readVerbPayload(input: unknown): { payload: VerbPayload } | { refused: string } {
  const form = 'expected {"by": "<who>", "reason": "<why>"}';
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    return { refused: `${form}, got ${input === null ? 'null' : Array.isArray(input) ? 'a list' : typeof input}` };
  }
  const { by, reason, override, rollout } = input as Record<string, unknown>;
  if (typeof by !== 'string' || by.trim() === '') return { refused: `${form}: "by" is missing or no text` };
  if (typeof reason !== 'string' || reason.trim() === '') return { refused: `${form}: "reason" is missing or no text` };
  if (by.length > LONGEST || reason.length > LONGEST) return { refused: `${form}: longer than ${LONGEST} characters` };
  if (override !== undefined && typeof override !== 'boolean')
    return { refused: `${form}: "override" is true or false` };
  if (rollout !== undefined && typeof rollout !== 'string') return { refused: `${form}: "rollout" is no text` };
  const payload: VerbPayload = { by, reason };
  if (override !== undefined) payload.override = override;
  if (rollout !== undefined) payload.rollout = rollout;
  for (const key of ['sites', 'leftOut'] as const) {
    const named = (input as Record<string, unknown>)[key];
    if (named === undefined) continue;
    if (!isListOfTexts(named)) return { refused: `${form}: "${key}" is no list of site ids` };
    payload[key] = named;
  }
  return { payload };
}

function isListOfTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}
