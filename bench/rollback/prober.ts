/**
 * Watches one address from a process of its own, so that nothing that is measured can slow the clock: the time of the
 * first bad answer, and of the first of eight good ones in a row after it.
 */
import { request } from 'node:http';

export interface Watch {
  url: string;
}
export interface Seen {
  badMs: number;
  restoredMs: number;
}

const EVERY_MS = 4;
const IN_A_ROW = 8;

async function watch(url: string): Promise<Seen> {
  let badMs = 0;
  let goodSince = 0;
  let good = 0;
  for (;;) {
    const at = now();
    const ok = await isGood(url);
    if (!ok && badMs === 0) badMs = at;
    if (ok && badMs > 0) {
      if (good === 0) goodSince = at;
      good += 1;
      if (good === IN_A_ROW) return { badMs, restoredMs: goodSince };
    } else {
      good = 0;
    }
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
}

export function isGood(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request(url, { agent: false, timeout: 500 }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode === 200));
      response.on('error', () => resolve(false));
    });
    asked.on('timeout', () => asked.destroy(new Error('timeout')));
    asked.on('error', () => resolve(false));
    asked.end();
  });
}

function now(): number {
  return performance.timeOrigin + performance.now();
}

if (process.send) {
  process.on('message', (message: Watch) => {
    void watch(message.url).then((seen) => process.send?.(seen));
  });
}
