/** Bandwidths: people write `128kbit`, code counts bits a second. */
import { z } from 'zod';

const UNIT_BITS = { kbit: 1_000, Mbit: 1_000_000, Gbit: 1_000_000_000 } as const;
type Unit = keyof typeof UNIT_BITS;

/** No unit of bytes, and none without a name: `128kB` and `128k` are eight times apart, or may be. */
const PATTERN = /^(0|[1-9]\d{0,5})(\.\d{1,3})?(kbit|Mbit|Gbit)$/;
const EXAMPLES = 'in kbit, Mbit or Gbit a second, such as 64kbit, 128kbit or 1.5Mbit';

/** Bits a second of a written bandwidth, or undefined if it is not one. */
export function parseBandwidth(text: string): number | undefined {
  const found = PATTERN.exec(text);
  if (!found) return undefined;
  return Math.round(Number(`${found[1]}${found[2] ?? ''}`) * UNIT_BITS[found[3] as Unit]);
}

/** The shortest written form in the largest unit that needs no more than three decimals. */
export function formatBandwidth(bits: number): string {
  const units: Unit[] = ['Gbit', 'Mbit', 'kbit'];
  const unit = units.find((one) => bits >= UNIT_BITS[one] && bits % (UNIT_BITS[one] / 1_000) === 0) ?? 'kbit';
  return `${Number((bits / UNIT_BITS[unit]).toFixed(3))}${unit}`;
}

/** As people write it; bits a second once decoded. */
export const Bandwidth = z
  .codec(z.string().regex(PATTERN, `expected a bandwidth ${EXAMPLES}`), z.number().int().nonnegative(), {
    decode: (text) => parseBandwidth(text) ?? 0,
    encode: formatBandwidth,
  })
  .refine((bits) => bits >= UNIT_BITS.kbit, 'expected a bandwidth of at least 1kbit')
  .describe(`a bandwidth ${EXAMPLES}`);
