/** Reads the imports of a source file with the compiler's own parser: static, dynamic, re-exported, of types, and `require`. */
import ts from 'typescript';

export interface Import {
  /** As written; undefined when a dynamic import computes it. */
  specifier: string | undefined;
  /**
   * `type` vanishes when compiled. `import { type X } from …` does not: with verbatimModuleSyntax the module is still loaded, so it
   * is `value`.
   */
  kind: 'value' | 'type' | 'dynamic';
  /** 1-based. */
  line: number;
}

export function readImports(path: string, text: string): Import[] {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest);
  const found: Import[] = [];
  const add = (node: ts.Node, specifier: ts.Node | undefined, kind: Import['kind']): void => {
    const line = source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1;
    found.push({ specifier: specifier && ts.isStringLiteralLike(specifier) ? specifier.text : undefined, kind, line });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      add(
        node,
        node.moduleSpecifier,
        node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword ? 'type' : 'value',
      );
    } else if (ts.isExportDeclaration(node) && node.moduleSpecifier) {
      add(node, node.moduleSpecifier, node.isTypeOnly ? 'type' : 'value');
    } else if (ts.isImportEqualsDeclaration(node) && ts.isExternalModuleReference(node.moduleReference)) {
      add(node, node.moduleReference.expression, node.isTypeOnly ? 'type' : 'value');
    } else if (ts.isImportTypeNode(node)) {
      add(node, ts.isLiteralTypeNode(node.argument) ? node.argument.literal : undefined, 'type');
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node, node.arguments[0], 'dynamic');
    } else if (ts.isCallExpression(node) && isRequire(node.expression)) {
      add(node, node.arguments[0], 'value');
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

function isRequire(node: ts.Expression): boolean {
  if (ts.isIdentifier(node)) return node.text === 'require';
  return ts.isPropertyAccessExpression(node) && node.name.text === 'resolve' && isRequire(node.expression);
}
