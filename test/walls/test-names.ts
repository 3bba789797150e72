/** Reads the requirement ids out of the names of tests: `[A32]`, `[A26, B4]` in the title of an it, test or describe. */
import ts from 'typescript';
import type { SourceFile } from './judge.js';

export interface NamedId {
  id: string;
  path: string;
  line: number;
}

const WRITERS = ['it', 'test', 'describe'];
/** A test that does not run proves nothing. */
const NOT_RUN = ['skip', 'todo', 'fails'];

export function readTestIds(files: SourceFile[]): NamedId[] {
  return files.flatMap((file) => readIds(file));
}

function readIds({ path, text }: SourceFile): NamedId[] {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest);
  const found: NamedId[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node)) {
      const chain = chainOf(node.expression);
      if (chain.some((name) => NOT_RUN.includes(name))) return;
      const title = WRITERS.includes(chain[0] ?? '') ? node.arguments[0] : undefined;
      const line = source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1;
      if (title) found.push(...idsOf(textOf(title, source)).map((id) => ({ id, path, line })));
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** `describe.each(…)` is `['describe', 'each']`, with whatever is called or tagged in between left out. */
function chainOf(node: ts.Node): string[] {
  if (ts.isIdentifier(node)) return [node.text];
  if (ts.isPropertyAccessExpression(node)) return [...chainOf(node.expression), node.name.text];
  if (ts.isCallExpression(node)) return chainOf(node.expression);
  if (ts.isTaggedTemplateExpression(node)) return chainOf(node.tag);
  return [];
}

function textOf(node: ts.Expression, source: ts.SourceFile): string {
  if (ts.isStringLiteralLike(node)) return node.text;
  return ts.isTemplateExpression(node) ? node.getText(source) : '';
}

const idsOf = (title: string): string[] =>
  [...title.matchAll(/\[([AB]\d+(?:[,\s]+[AB]\d+)*)\]/g)].flatMap(([, ids = '']) => ids.split(/[,\s]+/));
