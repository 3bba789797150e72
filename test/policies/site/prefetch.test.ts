/** Files fetched ahead of a converge: which wishes a site takes, and how long it keeps what they brought. */
import { describe, expect, it } from 'vitest';
import {
  isUsedUp,
  judgePrefetch,
  keepsPrefetch,
  PREFETCH_KEPT_MS,
  wantsFiles,
} from '../../../policies/site/judge-prefetch.js';

const wish = (generation: number, digest = 'a') => ({ stream: 'edge-proxy', generation, digest });
const taken = (generation: number, digest = 'a', takenAt = 0) => ({ wish: wish(generation, digest), takenAt });

describe('a wish for files', () => {
  it.each([
    ['before any command', 3, 0, undefined, undefined],
    ['again', 3, 0, wish(3), undefined],
    ['in place of an earlier one', 5, 2, wish(3, 'b'), undefined],
    ['after its own converge', 3, 3, undefined, 'STALE'],
    ['after the undo of its rollout', 3, 4, wish(3), 'STALE'],
    ['of an earlier rollout than the one that is fetched for', 3, 2, wish(5, 'b'), 'STALE'],
    ['of as late a rollout, for other files', 5, 2, wish(5, 'b'), 'STALE'],
  ])('%s', (_, generation, floor, known, code) => {
    expect(judgePrefetch(wish(generation), { generation: floor }, known)?.code).toBe(code);
  });

  it('is carried out until its own converge has come, and not for what is live', () => {
    expect(wantsFiles(taken(3), { generation: 2 })).toBe(true);
    expect(wantsFiles(taken(3), { generation: 2 }, 'b')).toBe(true);
    expect(wantsFiles(taken(3), { generation: 2 }, 'a')).toBe(false);
    expect(wantsFiles(taken(3), { generation: 3 })).toBe(false);
  });

  it.each([
    ['before its converge', 2, 0, true],
    ['after its converge, which may be tried again', 3, 0, true],
    ['after a later command', 4, 0, false],
    ['for a month that nobody asked', 2, PREFETCH_KEPT_MS, true],
    ['after it', 2, PREFETCH_KEPT_MS + 1, false],
  ])('keeps its files %s: %#', (_, generation, now, kept) => {
    expect(keepsPrefetch(taken(3), { generation }, now)).toBe(kept);
  });

  it.each([
    ['its own release', 3, 'a', true],
    ['the same release of a later rollout', 6, 'a', true],
    ['another one of a later rollout', 6, 'b', true],
    ['another one of an earlier rollout', 2, 'b', false],
  ])('is used up by %s', (_, generation, digest, used) => {
    expect(isUsedUp(taken(3), { generation, digest })).toBe(used);
  });
});
