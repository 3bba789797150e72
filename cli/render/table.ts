/** Aligned columns and progress bars in plain text. */
import { visibleLength } from './paint.js';

/** Rows under a header, two spaces apart; columns named in `right` are aligned to the right. No rows: no header either. */
export function table(header: string[], rows: string[][], right: string[] = []): string {
  if (rows.length === 0) return '';
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => visibleLength(row[column] ?? ''))));
  const line = (row: string[]): string =>
    header
      .map((name, column) => pad(row[column] ?? '', widths[column] ?? 0, right.includes(name)))
      .join('  ')
      .trimEnd();
  return `${all.map(line).join('\n')}\n`;
}

function pad(text: string, width: number, right: boolean): string {
  const space = ' '.repeat(Math.max(0, width - visibleLength(text)));
  return right ? space + text : text + space;
}

/** `[#####.....]`: the share of `part` in `whole`; something begun is never shown as nothing, something open never as all. */
export function bar(part: number, whole: number, width = 20): string {
  if (whole <= 0) return `[${'.'.repeat(width)}]`;
  const exact = (Math.min(part, whole) / whole) * width;
  const filled = part >= whole ? width : part > 0 ? Math.max(1, Math.floor(exact)) : 0;
  return `[${'#'.repeat(filled)}${'.'.repeat(width - filled)}]`;
}

/** `text` with each line moved in by two spaces. */
export function indent(text: string): string {
  return text.replace(/^(?=.)/gm, '  ');
}
