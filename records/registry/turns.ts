/** A few places, and a queue before them: first come, first served, and nobody waits longer than he says. */
export class Turns {
  readonly #waiting: (() => void)[] = [];
  #free: number;
  constructor(places: number) {
    this.#free = places;
  }

  /** False if no place became free within so many ms. */
  async take(within: number): Promise<boolean> {
    if (this.#free > 0) {
      this.#free -= 1;
      return true;
    }
    return new Promise<boolean>((resolve) => {
      const turn = () => {
        clearTimeout(tired);
        resolve(true);
      };
      const tired = setTimeout(() => {
        this.#waiting.splice(this.#waiting.indexOf(turn), 1);
        resolve(false);
      }, within);
      this.#waiting.push(turn);
    });
  }

  /** The place passes straight to the one that waited longest: it never looks free in between. */
  give(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free += 1;
    else next();
  }
}
