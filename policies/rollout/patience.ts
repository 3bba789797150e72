/** How long a site is waited for, and may begin to switch (design §4.7 `settleWithin`). */
import type { LinkClass } from '../model/fleet.js';

/** Ms. `link`: as long as its link class says; a class that nobody knows has none. */
export function patienceFor(
  { settleWithin, links }: { settleWithin: 'link' | number; links: Record<string, LinkClass> },
  { link }: { link: string },
): number {
  return settleWithin === 'link' ? (links[link]?.settleWithin ?? 0) : settleWithin;
}
