/** One round at a time: two would find the same damage, and each would make it anew. */

/** False ends the round. */
export type GoOn = () => boolean;

export class ScrubTurns {
  private last: Promise<void> | undefined;
  private hurried = 0;

  /**
   * Undefined if the round was not begun, or not read to its end. What a person or a start waits for (`hurry`) ends a round that
   * nobody waits for: it reads all that one would have.
   */
  async take<T>({ goOn, hurry }: { goOn: GoOn; hurry: boolean }, round: (goOn: GoOn) => Promise<T>) {
    if (!hurry) return this.hurried > 0 ? undefined : this.next(() => this.hurried === 0 && goOn(), round);
    this.hurried++;
    try {
      return await this.next(goOn, round);
    } finally {
      this.hurried--;
    }
  }

  private async next<T>(goOn: GoOn, round: (goOn: GoOn) => Promise<T>): Promise<T | undefined> {
    const before = this.last;
    const mine = before === undefined ? round(goOn) : before.then(() => (goOn() ? round(goOn) : undefined));
    const over = mine.then(
      () => undefined,
      () => undefined,
    );
    this.last = over;
    void over.then(() => (this.last = this.last === over ? undefined : this.last));
    return mine;
  }
}
