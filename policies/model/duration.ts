import { z } from 'zod';

const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
type Unit = keyof typeof UNIT_MS;

const PATTERN = /^(0|[1-9]\d*)(ms|s|m|h|d)$/;

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

/** A duration as people write it; milliseconds once decoded. */
export const Duration = z.codec(
  z.string().regex(PATTERN, 'expected a duration such as 500ms, 30s, 10m, 2h or 21d'),
  z.number().int().nonnegative(),
  { decode: (text) => parseDuration(text) ?? 0, encode: formatDuration },
);
