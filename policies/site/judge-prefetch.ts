/** What a site makes of a wish for files (design §6 `prefetch`): whether it is taken, and for how long the files are kept. */
import type { Prefetch } from '../model/prefetch.js';
import type { Reason } from '../model/verdict.js';

/** A site is not told how a rollout ended that it was never commanded by: files that nothing asked for go by themselves. */
export const PREFETCH_KEPT_MS = 30 * 86_400_000;

interface Wished {
  wish: Pick<Prefetch, 'generation' | 'digest' | 'stream'>;
  takenAt: number;
}

/** The stream's floor. */
interface StreamNow {
  generation: number;
}

/** Why a wish is not taken: a command of its rollout, or of a later one, has come already. */
export function judgePrefetch(
  wish: Wished['wish'],
  { generation }: StreamNow,
  known?: Wished['wish'],
): Reason | undefined {
  const floor = Math.max(generation, known && known.digest !== wish.digest ? known.generation : 0);
  if (wish.generation > floor) return undefined;
  const detail = `expected a prefetch above generation ${floor} of ${wish.stream}, got generation ${wish.generation}`;
  return { code: 'STALE', detail };
}

/**
 * Whether the files are kept. A later generation says that nobody will ask for them; a converge of their own that was
 * rejected may be tried again.
 */
export function keepsPrefetch({ wish, takenAt }: Wished, { generation }: StreamNow, now: number): boolean {
  return now - takenAt <= PREFETCH_KEPT_MS && generation <= wish.generation;
}

/** Whether files are fetched: once its own converge has come, that fetches what it needs. */
export function wantsFiles({ wish }: Pick<Wished, 'wish'>, { generation }: StreamNow, live?: string): boolean {
  return generation < wish.generation && live !== wish.digest;
}

/** Whether a release that was staged leaves nothing to wait for. */
export function isUsedUp({ wish }: Pick<Wished, 'wish'>, staged: { generation: number; digest: string }): boolean {
  return wish.generation <= staged.generation || wish.digest === staged.digest;
}
