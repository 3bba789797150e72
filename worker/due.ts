/** What a connection of a site has to deliver and to ask, and when. */
import type { Asker } from '../activities/site/converge.js';

/** What is due is told by the monotonic clock: a wall clock that is set back would keep a site silent for as long. */
export const elapsed = () => performance.now();

/** How long after a result it is asked whether it was heard: not before its answer can have come, and not later than the second. */
const HEARD_AFTER = { least: 5_000, most: 15_000 };

/** What there is to deliver and to ask, over one connection. */
export class Due {
  is = true;
  wake: (() => void) | undefined;
  private answered: { asker: Asker; at: number }[] = [];

  /** `after`: for tests. */
  constructor(private readonly after = HEARD_AFTER) {}

  set(): void {
    this.is = true;
    this.wake?.();
  }

  /** A result is going out to `asker`. */
  answers(asker: Asker): void {
    this.answered.push({ asker, at: elapsed() });
    this.wake?.();
  }

  /** When the first of those that were answered has to be asked, by the monotonic clock. */
  get askBy(): number {
    const [first] = this.answered;
    return first ? first.at + this.after.most : Infinity;
  }

  /** Who may be asked by now, taken from those that wait. */
  nextAsked(): Asker | undefined {
    const [first] = this.answered;
    if (!first || elapsed() < first.at + this.after.least) return undefined;
    this.answered.shift();
    return first.asker;
  }

  /** Whoever was answered before `since` need not be asked: the inbox has been told all that there was then. */
  toldAll(since: number): void {
    this.answered = this.answered.filter(({ at }) => at >= since);
  }
}
