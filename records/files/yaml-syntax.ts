/** YAML (and JSON, which is YAML) from text to one syntax tree; every mistake of form is a finding. */
import { Composer, LineCounter, Parser, type CST, type Document } from 'yaml';
import type { Finding, Position } from './located.js';

/** Files of the format nest about ten levels deep. The composer of `yaml` runs out of memory at a few thousand. */
const DEEPEST_NESTING = 64;
/** A broken file breaks again at every later line; the first ones say it. */
const MOST_FINDINGS = 3;

export interface SyntaxTree {
  /** Absent if there is nothing in the file, or something wrong with it. */
  document?: Document.Parsed;
  findings: Finding[];
  /** The place of an offset into the text. */
  place: (offset: number) => Position;
}

/** `path` only names the text in findings. Duplicate keys and aliases are left to whoever reads the tree. */
export function parseSyntax(path: string, text: string): SyntaxTree {
  const lines = new LineCounter();
  const place = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { line, column: col };
  };
  const finding = (offset: number, message: string): Finding => ({ path, at: place(offset), message });
  const tokens = [...new Parser(lines.addNewLine).parse(text)];
  const deep = tokens.map(tooDeep).find((offset) => offset !== undefined);
  if (deep !== undefined) {
    return {
      place,
      findings: [finding(deep, `expected at most ${DEEPEST_NESTING} levels of lists and maps, found more`)],
    };
  }
  const documents = [...new Composer({ uniqueKeys: false, logLevel: 'error' }).compose(tokens)];
  const findings = [...formFindings(documents, finding), ...versionFindings(documents, finding)];
  const document = documents[0];
  if (document && findings.length === 0) return { document, findings, place };
  return { findings, place };
}

type MakeFinding = (offset: number, message: string) => Finding;

function formFindings(documents: Document.Parsed[], finding: MakeFinding): Finding[] {
  const broken = documents.flatMap((document) => document.errors);
  if (broken.length > 0) {
    return broken.slice(0, MOST_FINDINGS).map(({ pos, message }) => {
      return finding(pos[0], `expected valid YAML or JSON, found a mistake in its form: ${message}`);
    });
  }
  const second = documents[1];
  if (!second) return [];
  const message = 'expected one document in the file, found a second one (after `---`); put it into a file of its own';
  return [finding(second.range[0], message)];
}

/** An older YAML would read `no` as false. */
function versionFindings(documents: Document.Parsed[], finding: MakeFinding): Finding[] {
  const stated = documents[0]?.directives.yaml;
  if (!stated?.explicit || stated.version === '1.2') return [];
  return [finding(0, `expected YAML 1.2, found %YAML ${stated.version}, which reads words such as \`no\` otherwise`)];
}

/** Where a token goes too deep. Walks without recursion: the point is a file that would exhaust the stack. */
function tooDeep(root: CST.Token): number | undefined {
  const pending: { token: CST.Token; depth: number }[] = [{ token: root, depth: 0 }];
  for (let next = pending.pop(); next; next = pending.pop()) {
    const { token, depth } = next;
    if (depth > DEEPEST_NESTING) return token.offset;
    if (token.type === 'document' && token.value) pending.push({ token: token.value, depth });
    if (!('items' in token)) continue;
    for (const { key, value } of token.items) {
      for (const below of [key, value]) if (below) pending.push({ token: below, depth: depth + 1 });
    }
  }
  return undefined;
}
