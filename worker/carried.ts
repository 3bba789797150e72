/**
 * What one connection has carried of the journal and the outbox, so that it carries nothing twice; and what of it the
 * centre turns out not to have: it is carried again.
 */
import type { InboxEnd, SparePriority } from '../policies/model/telemetry.js';
import { PAYLOAD_BYTES } from '../policies/site/plan-outbox.js';

/** By sequence. */
export interface Marks extends Record<SparePriority, number> {
  journal: number;
}
/**
 * How the inbox that took the last delivery ended. `lost`: there is none, or it was ended by somebody. Absent: it is still
 * at work, or does not say.
 */
export type Ending = InboxEnd | 'lost' | undefined;

/** In bytes of JSON. The first goes over 9.6 kbit/s in half a minute. */
const FIRST_PAGE = 32 * 1024;
/** Not less: after an outage of the centre all sites have failed, and each page is a signal. */
const LEAST_PAGE = 4 * 1024;

const LANES = ['journal', 'performance', 'routine'] as const;
const DAY_MS = 86_400_000;

export class Carried implements Marks {
  journal = 0;
  performance = 0;
  routine = 0;
  /** How many bytes the next delivery may have: a page that does not come through in time would be tried for ever. */
  pageBytes = FIRST_PAGE;
  private hasFailed = false;
  private asked = false;
  /** From where it was carried again last, and how long the next time must wait if that has moved nothing. */
  private again: { from: string; at: number; pause: number } | undefined;

  /** True once: for the first delivery, whether it comes through or not. */
  isFirst(): boolean {
    const first = !this.asked;
    this.asked = true;
    return first;
  }

  /** As TCP finds its window (RFC 5681): doubled until something fails, then more by a little, and half after each failure. */
  wentThrough(): void {
    const more = this.hasFailed ? LEAST_PAGE : this.pageBytes;
    this.pageBytes = Math.min(PAYLOAD_BYTES, this.pageBytes + more);
  }

  /** It may have been too much. */
  failed(): void {
    this.hasFailed = true;
    this.pageBytes = Math.max(LEAST_PAGE, Math.floor(this.pageBytes / 2));
  }

  /**
   * The inbox was lost with what it had taken, or the registry was put back to before it: what was signalled since is
   * carried again, from where the centre has it. A centre that does not get on by that gets it ever more seldom, at last
   * once a day: a mark that stands still must not cost a thin link its journal at every report.
   */
  goBackTo(marks: Marks, now: number, pause: number): boolean {
    if (LANES.every((lane) => marks[lane] >= this[lane])) {
      this.again = undefined;
      return false;
    }
    const to = LANES.map((lane) => Math.min(marks[lane], this[lane]));
    const from = to.join();
    const known = this.again?.from === from ? this.again : undefined;
    if (known && now - known.at < known.pause) return false;
    this.again = { from, at: now, pause: known ? Math.min(DAY_MS, known.pause * 2) : pause };
    for (const [index, lane] of LANES.entries()) this[lane] = to[index] ?? 0;
    return true;
  }

  /**
   * Where the centre is, by what its inbox ended with; what it does not say is taken to be as it was carried. `acked`: the
   * journal up to here was acknowledged by a signed command, and is not sent again whatever this says.
   */
  marksOf(ending: Ending, epoch: number, acked: number): Marks | undefined {
    if (ending === 'lost') return { journal: acked, performance: 0, routine: 0 };
    if (!ending || ending.epoch !== epoch) return undefined;
    const { journal = this.journal, performance = this.performance, routine = this.routine } = ending;
    return { journal: Math.max(acked, journal), performance, routine };
  }
}
