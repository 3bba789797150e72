/** Shares of a cohort: whole sites or a percentage, always rounded down (design §6 "Meaning"). */
import type { Share } from '../model/strategy.js';

/** How many of `total` sites a share is: never more than `total`, never rounded up. */
export function sitesOf(share: Share, total: number): number {
  if (typeof share === 'number') return Math.min(share, total);
  const [whole = '0', decimals = ''] = share.slice(0, -1).split('.');
  // Whole numbers only: 4.35 * 2000 / 100 is 86.99999999999999 in floating point, which would round a site away.
  const scaled = BigInt(whole + decimals) * BigInt(total);
  return Number(scaled / (100n * 10n ** BigInt(decimals.length)));
}

/** Written as nothing at all (`0`, `"0%"`): in `waves` this is a hold. */
export function isZero(share: Share): boolean {
  return typeof share === 'number' ? share === 0 : Number(share.slice(0, -1)) === 0;
}
