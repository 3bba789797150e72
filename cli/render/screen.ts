/** Live progress: a block that is drawn over itself on a terminal, a line for each change elsewhere. */
import { unpainted, visibleLength } from './paint.js';

export interface Screen {
  /** `headline` names the change, `block` is the whole picture. */
  show(at: string, headline: string, block: string): void;
}

export function screenFor(write: (text: string) => void, terminal: boolean, columns: number): Screen {
  return terminal ? new LiveScreen(write, columns) : new LineScreen(write);
}

class LiveScreen implements Screen {
  private drawn = 0;
  constructor(
    private readonly write: (text: string) => void,
    private readonly columns: number,
  ) {}

  show(_at: string, _headline: string, block: string): void {
    // A wrapped line would move the cursor up by too little: lines are cut at the edge.
    const lines = block
      .trimEnd()
      .split('\n')
      .map((line) => clip(line, this.columns - 1));
    const back = this.drawn === 0 ? '' : `\u001b[${this.drawn}A\u001b[J`;
    this.write(`${back}${lines.join('\n')}\n`);
    this.drawn = lines.length;
  }
}

class LineScreen implements Screen {
  private last = '';
  constructor(private readonly write: (text: string) => void) {}

  show(at: string, headline: string): void {
    if (headline === this.last) return;
    this.last = headline;
    this.write(`${at} ${headline}\n`);
  }
}

/** The text cut to `width` visible characters; a cut line loses its colours rather than leaking them. */
export function clip(line: string, width: number): string {
  if (visibleLength(line) <= width) return line;
  return `${[...unpainted(line)].slice(0, Math.max(0, width - 1)).join('')}…`;
}
