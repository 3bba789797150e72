/** Colours: only on a terminal, never with NO_COLOR (no-color.org) or TERM=dumb. */

const CODES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, blue: 34 } as const;
export type Colour = keyof typeof CODES;
export type Paint = (colour: Colour, text: string) => string;

export const plain: Paint = (_colour, text) => text;

export function paintFor(terminal: boolean, env: NodeJS.ProcessEnv): Paint {
  const off = !terminal || (env['NO_COLOR'] ?? '') !== '' || env['TERM'] === 'dumb';
  return off ? plain : (colour, text) => `\u001b[${CODES[colour]}m${text}\u001b[0m`;
}

const ESCAPES = new RegExp('\u001b\\[[0-9;]*m', 'g');

export function unpainted(text: string): string {
  return text.replace(ESCAPES, '');
}

/** Length as it appears on the screen. */
export function visibleLength(text: string): number {
  return [...unpainted(text)].length;
}

/** Text of others (details, names from reports) without control characters: it must not steer the terminal. */
export function harmless(text: string): string {
  return [...text].map((c) => (isControl(c.codePointAt(0) ?? 0) ? ' ' : c)).join('');
}
function isControl(point: number): boolean {
  return point < 0x20 || (point >= 0x7f && point < 0xa0);
}
