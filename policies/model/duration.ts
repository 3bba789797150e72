/** Durations: people write `30s`, code counts milliseconds. */
import { z } from 'zod';

const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
type Unit = keyof typeof UNIT_MS;

const PATTERN = /^(0|[1-9]\d{0,11})(ms|s|m|h|d)$/;
const EXAMPLES = 'such as 500ms, 30s, 10m, 2h or 21d';

/** A process's timers count in 32 bits; a longer one fires at once. */
const LONGEST_TIMER = 24 * UNIT_MS.d;

/** Ten years: an instant beyond it was meant by nobody, and past the year 275760 there is none. */
export const FURTHEST = 3_650 * UNIT_MS.d;

/** Milliseconds of a written duration (`500ms`, `30s`, `10m`, `2h`, `21d`), or undefined if it is not one. */
export function parseDuration(text: string): number | undefined {
  const found = PATTERN.exec(text);
  return found ? Number(found[1]) * UNIT_MS[found[2] as Unit] : undefined;
}

/** The shortest written form of `ms` in the largest unit that divides it. */
export function formatDuration(ms: number): string {
  const units: Unit[] = ['d', 'h', 'm', 's', 'ms'];
  const unit = units.find((u) => ms % UNIT_MS[u] === 0 && ms >= UNIT_MS[u]) ?? 's';
  return `${Math.round(ms / UNIT_MS[unit])}${unit}`;
}

const written = z.codec(
  z.string().regex(PATTERN, `expected a duration ${EXAMPLES}`),
  z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER),
  { decode: (text) => parseDuration(text) ?? 0, encode: formatDuration },
);

/** A duration as people write it; milliseconds once decoded. */
export const Duration = written.describe(`a duration ${EXAMPLES}`);

/** A duration that must pass before anything is judged: `0s` would mean never or always. */
export const PositiveDuration = written
  .refine((ms) => ms > 0, 'expected a duration above 0')
  .describe(`a duration above 0, ${EXAMPLES}`);

/** A duration that the agent or a worker counts down with a timer of its own process. */
export const TimerDuration = written
  .refine((ms) => ms > 0 && ms <= LONGEST_TIMER, 'expected a duration above 0 and at most 24d')
  .describe('a duration above 0 and at most 24d, such as 500ms, 30s or 10m');
