/** YAML and JSON as data with positions: plain values, no tricks. */
import { isAlias, isMap, isNode, isScalar, isSeq, type Node } from 'yaml';
import type { ReasonCode } from '../../policies/model/reasons.js';
import { readText } from './read-text.js';
import { placeText, refusal, type Finding, type Located, type Position, type SourceFile } from './located.js';
import { parseSyntax } from './yaml-syntax.js';

/** What aliases may add to a file before it counts as an attempt to exhaust memory. */
const LARGEST_REPETITION = 10_000;

/** Reads and parses `path`. Throws MistakeError `code` with every finding in `details`. */
export async function readYamlFile(path: string, code: ReasonCode): Promise<SourceFile> {
  return parseYaml(path, await readText(path, code), code);
}

/** `text` as data; `path` only names it in findings. */
export function parseYaml(path: string, text: string, code: ReasonCode): SourceFile {
  const { document, findings, place } = parseSyntax(path, text);
  if (findings.length > 0) throw refusal(code, findings);
  if (document?.contents) return new Reader(path, place).read(document.contents, code);
  throw refusal(code, [{ path, at: { line: 1, column: 1 }, message: 'expected a document, found an empty file' }]);
}

interface Read {
  data: unknown;
  located: Located;
}

/** Walks the tree once, in the order of the file, building data and places side by side. */
class Reader {
  private readonly findings: Finding[] = [];
  private readonly anchors = new Map<string, Node>();
  /** What is being read right now: an alias to one of these would never end. */
  private readonly open = new Set<unknown>();
  private aliasDepth = 0;
  private repeated = 0;

  constructor(
    private readonly path: string,
    private readonly place: (offset: number) => Position,
  ) {}

  read(contents: Node, code: ReasonCode): SourceFile {
    const { data, located } = this.value(contents);
    if (this.repeated > LARGEST_REPETITION) {
      this.fault(located.at, `expected plain data, found aliases that repeat more than ${LARGEST_REPETITION} values`);
    }
    if (this.findings.length > 0) throw refusal(code, this.findings);
    return { path: this.path, data, root: located };
  }

  private value(node: unknown): Read {
    const at = this.placeOfNode(node);
    const nothing = { data: null, located: { at } };
    if (this.aliasDepth > 0 && ++this.repeated > LARGEST_REPETITION) return nothing;
    if (isAlias(node)) return this.alias(node.source, at) ?? nothing;
    if (!isNode(node)) return nothing;
    this.refuseTag(node.tag, at);
    if (node.anchor !== undefined && this.aliasDepth === 0) this.anchors.set(node.anchor, node);
    if (isScalar(node)) return { data: node.value, located: { at } };
    this.open.add(node);
    const read = isMap(node) ? this.map(node.items, at) : isSeq(node) ? this.list(node.items, at) : nothing;
    this.open.delete(node);
    return read;
  }

  private alias(name: string, at: Position): Read | undefined {
    const target = this.anchors.get(name);
    if (!target) this.fault(at, `expected an anchor \`&${name}\` before this alias, found none`);
    else if (this.open.has(target)) this.fault(at, `expected plain data, found \`*${name}\` inside of itself`);
    else {
      this.aliasDepth++;
      const read = this.value(target);
      this.aliasDepth--;
      return read;
    }
    return undefined;
  }

  private map(items: { key: unknown; value: unknown }[], at: Position): Read {
    const data: Record<string, unknown> = {};
    const below = new Map<string | number, Located>();
    for (const { key, value } of items) {
      const keyAt = this.placeOfNode(key);
      const name = keyName(key);
      const first = name === undefined ? undefined : below.get(name)?.keyAt;
      if (name === undefined) this.fault(keyAt, 'expected a plain word as key, found something else');
      else if (first) {
        this.fault(keyAt, `the key \`${name}\` is there twice; first at ${placeText(this.path, first)}`);
      } else {
        const read = this.value(value);
        data[name] = read.data;
        below.set(name, { ...read.located, at: isNode(value) ? read.located.at : keyAt, keyAt });
      }
    }
    return { data, located: { at, below } };
  }

  private list(items: unknown[], at: Position): Read {
    const read = items.map((item) => this.value(item));
    const below = new Map<string | number, Located>(read.map((entry, i) => [i, entry.located]));
    return { data: read.map((entry) => entry.data), located: { at, below } };
  }

  /** `!!binary` and its like would turn into text here: what the author meant is lost, so say so. */
  private refuseTag(tag: string | undefined, at: Position): void {
    if (tag === undefined || /^tag:yaml\.org,2002:(str|int|float|bool|null|map|seq)$/.test(tag)) return;
    this.fault(at, `expected plain data, found the tag ${tag}`);
  }

  private fault(at: Position, message: string): void {
    this.findings.push({ path: this.path, at, message });
  }

  private placeOfNode(node: unknown): Position {
    return this.place((isNode(node) ? node.range?.[0] : undefined) ?? 0);
  }
}

/** `__proto__` is no key: assigning it would change the object instead of filling it. */
function keyName(key: unknown): string | undefined {
  if (!isScalar(key) || key.value === null) return undefined;
  const name = key.source ?? '';
  return name === '__proto__' ? undefined : name;
}
