/** Finds state of a module: a `let`, or a container that can be filled, at its top. */
import ts from 'typescript';

const CONTAINERS = ['Map', 'WeakMap', 'WeakSet'];

/** Lines, 1-based. A `Set` passes: it is how a constant list of words is written. */
export function readState(path: string, text: string): number[] {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest);
  const variables = source.statements.filter(ts.isVariableStatement);
  const lists = variables.map(({ declarationList }) => declarationList).filter(isState);
  return lists.map((list) => source.getLineAndCharacterOfPosition(list.getStart(source)).line + 1);
}

function isState(list: ts.VariableDeclarationList): boolean {
  if (!(list.flags & ts.NodeFlags.Const)) return true;
  return list.declarations.some(({ initializer }) => initializer !== undefined && isContainer(initializer));
}

function isContainer(made: ts.Expression): boolean {
  return ts.isNewExpression(made) && ts.isIdentifier(made.expression) && CONTAINERS.includes(made.expression.text);
}
