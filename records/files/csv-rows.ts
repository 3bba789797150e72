/** RFC 4180 rows with the place of every field: quoted fields, doubled quotes, line breaks inside of quotes. */
import type { Finding, Position } from './located.js';

/** One field of a row. A quoted one is text whatever it looks like; an empty unquoted one is absent. */
export interface Field {
  text: string;
  quoted: boolean;
  at: Position;
}

/** All rows that hold anything; `path` only names the file in findings. */
export function splitRows(path: string, text: string): { rows: Field[][]; findings: Finding[] } {
  const reader = new RowReader(path, text);
  const rows: Field[][] = [];
  while (!reader.ended) {
    const row = reader.row();
    if (row.some((field) => field.text !== '' || field.quoted)) rows.push(row);
  }
  return { rows, findings: reader.findings };
}

class RowReader {
  readonly findings: Finding[] = [];
  private offset = 0;
  private line = 1;
  private lineStart = 0;

  constructor(
    private readonly path: string,
    private readonly text: string,
  ) {}

  get ended(): boolean {
    return this.offset >= this.text.length;
  }

  row(): Field[] {
    const fields = [this.field()];
    while (this.text[this.offset] === ',') {
      this.offset++;
      fields.push(this.field());
    }
    this.lineBreak();
    return fields;
  }

  private field(): Field {
    const at = this.here();
    if (this.text[this.offset] === '"') return { text: this.quoted(at), quoted: true, at };
    return { text: this.untilDelimiter().trim(), quoted: false, at };
  }

  private quoted(at: Position): string {
    let value = '';
    this.offset++;
    for (;;) {
      value += this.until(/["\r\n]|$/g);
      if (this.ended) {
        this.findings.push({ path: this.path, at, message: 'expected a closing `"`, found the end of the file' });
        return value;
      }
      if (this.lineBreak()) value += '\n';
      else if (this.text[this.offset + 1] === '"') {
        value += '"';
        this.offset += 2;
      } else break;
    }
    this.offset++;
    const after = this.here();
    const rest = this.untilDelimiter();
    if (rest.trim() !== '') {
      const message = `expected a comma after the closing \`"\`, found \`${rest}\``;
      this.findings.push({ path: this.path, at: after, message });
    }
    return value;
  }

  private untilDelimiter(): string {
    return this.until(/[,\r\n]|$/g);
  }

  private until(stop: RegExp): string {
    stop.lastIndex = this.offset;
    const start = this.offset;
    this.offset = stop.exec(this.text)?.index ?? this.text.length;
    return this.text.slice(start, this.offset);
  }

  private lineBreak(): boolean {
    const first = this.text[this.offset];
    if (first !== '\n' && first !== '\r') return false;
    this.offset += first === '\r' && this.text[this.offset + 1] === '\n' ? 2 : 1;
    this.line++;
    this.lineStart = this.offset;
    return true;
  }

  private here(): Position {
    return { line: this.line, column: this.offset - this.lineStart + 1 };
  }
}
