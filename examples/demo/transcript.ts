/** What a newcomer reads while the demo runs: one line an event, with the seconds since the start. */
import { stripVTControlCharacters, styleText } from 'node:util';

export type Tone = 'plain' | 'good' | 'bad' | 'dim' | 'title';

const STYLES = { good: 'green', bad: 'red', dim: 'dim', title: 'bold' } as const;

export interface Transcript {
  /** Seconds since the demo began. */
  elapsed(): number;
  title(text: string): void;
  line(text: string, tone?: Tone): void;
  /** A text without a time in front. */
  block(text: string): void;
  paint(tone: Tone, text: string): string;
}

/** Colours only on a terminal, and not where NO_COLOR asks for none. */
export function openTranscript(stream: NodeJS.WriteStream): Transcript {
  const begun = performance.now();
  const colours = stream.isTTY && process.env['NO_COLOR'] === undefined;
  const elapsed = (): number => (performance.now() - begun) / 1_000;
  const paint = (tone: Tone, text: string): string =>
    tone === 'plain' || !colours ? text : styleText(STYLES[tone], text, { validateStream: false });
  return {
    elapsed,
    paint,
    title: (text) => stream.write(`\n${paint('title', text)}\n`),
    line: (text, tone = 'plain') =>
      stream.write(`${paint('dim', `${elapsed().toFixed(1).padStart(6)} s`)}  ${paint(tone, text)}\n`),
    block: (text) => stream.write(`${text}\n`),
  };
}

/** Columns as wide as their widest cell, colours not counted. */
export function columns(rows: string[][]): string {
  const widths: number[] = [];
  const width = (cell: string): number => stripVTControlCharacters(cell).length;
  for (const row of rows) row.forEach((cell, at) => (widths[at] = Math.max(widths[at] ?? 0, width(cell))));
  const padded = (cell: string, at: number): string => cell + ' '.repeat((widths[at] ?? 0) - width(cell));
  return rows.map((row) => `  ${row.map(padded).join('  ').trimEnd()}`).join('\n');
}
