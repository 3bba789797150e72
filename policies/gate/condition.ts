/**
 * Conditions of metrics, in CEL: one number `result` in, one boolean out (design §6).
 *
 * Only arithmetic, comparison and logic on `result` is let in. CEL's `||` and `&&` absorb errors (`1/0 > 1 || true` is
 * true), so a mistyped name could hide behind them and pass; and its macros loop. Both are refused before anything is
 * measured, which also bounds the cost: without loops it is linear in the length.
 *
 * Not for workflows: the CEL library stays out of their bundle, so `judge.ts` never imports this file.
 */
import { celEnv, isCelError, parse, plan } from '@bufbuild/cel';
import { MistakeError } from '../model/failure.js';

export const MAX_CONDITION_LENGTH = 500;

export type ConditionAnswer = { kind: 'answer'; holds: boolean } | { kind: 'error'; detail: string };

export interface Condition {
  readonly text: string;
  /** Never throws: an evaluation error and an answer that is no boolean are both `error`. */
  evaluate(result: number): ConditionAnswer;
}

type Expression = NonNullable<ReturnType<typeof parse>['expr']>;

const FUNCTIONS = new Set([
  ...['_&&_', '_||_', '!_', '_?_:_', '@in'],
  ...['_<_', '_<=_', '_>_', '_>=_', '_==_', '_!=_'],
  ...['_+_', '_-_', '_*_', '_/_', '_%_', '-_', 'int', 'double'],
]);

/** Values that no reasonable condition is undefined for all of. */
const TRIALS = [0, 1, 0.5, -1, 1000];

const environment = celEnv();

/** Compiles once. Throws MistakeError `STRATEGY_INVALID` saying what in the condition is not allowed. */
export function compileCondition(text: string): Condition {
  if (text.length > MAX_CONDITION_LENGTH)
    throw mistake(text, `it has ${text.length} characters, at most ${MAX_CONDITION_LENGTH} are allowed`);
  const condition = planned(text);
  const trials = TRIALS.map((value) => condition.evaluate(value));
  const failure = trials.find((trial) => trial.kind === 'error');
  if (failure && trials.every((trial) => trial.kind === 'error')) throw mistake(text, failure.detail);
  return condition;
}

function planned(text: string): Condition {
  let evaluate: (context: { result: number }) => unknown;
  try {
    const parsed = parse(text);
    const objection =
      objectionTo(parsed.expr) ?? (mentionsResult(parsed.expr) ? undefined : 'it never looks at `result`');
    if (objection !== undefined) throw mistake(text, objection);
    evaluate = plan(environment, parsed);
  } catch (error) {
    throw error instanceof MistakeError ? error : mistake(text, messageOf(error));
  }
  return { text, evaluate: (result) => answerOf(text, result, evaluate) };
}

function answerOf(text: string, result: number, evaluate: (context: { result: number }) => unknown): ConditionAnswer {
  let answer: unknown;
  try {
    answer = evaluate({ result });
  } catch (error) {
    answer = error;
  }
  if (typeof answer === 'boolean') return { kind: 'answer', holds: answer };
  const got = isCelError(answer) || answer instanceof Error ? messageOf(answer) : `the answer is a ${typeof answer}`;
  return { kind: 'error', detail: `expected true or false from \`${text}\` with result = ${result}: ${got}` };
}

function objectionTo(expression: Expression | undefined): string | undefined {
  const kind = expression?.exprKind;
  switch (kind?.case) {
    case 'constExpr':
      return undefined;
    case 'identExpr':
      return kind.value.name === 'result' ? undefined : `it names \`${kind.value.name}\`, only \`result\` is known`;
    case 'callExpr':
      if (!FUNCTIONS.has(kind.value.function)) return `it uses \`${kind.value.function}\``;
      return kind.value.target ? 'it calls a method' : firstObjection(kind.value.args);
    case 'listExpr':
      return firstObjection(kind.value.elements);
    case 'comprehensionExpr':
    case 'selectExpr':
    case 'structExpr':
    case undefined:
      return 'it uses more than arithmetic, comparison and logic';
  }
}

function firstObjection(expressions: Expression[]): string | undefined {
  for (const expression of expressions) {
    const objection = objectionTo(expression);
    if (objection !== undefined) return objection;
  }
  return undefined;
}

/** A condition that ignores the measurement always passes, or never does. */
function mentionsResult(expression: Expression | undefined): boolean {
  const kind = expression?.exprKind;
  if (kind?.case === 'identExpr') return kind.value.name === 'result';
  if (kind?.case === 'callExpr') return kind.value.args.some(mentionsResult);
  if (kind?.case === 'listExpr') return kind.value.elements.some(mentionsResult);
  return false;
}

function mistake(text: string, objection: string): MistakeError {
  const shown = text.length > 80 ? `${text.slice(0, 80)}…` : text;
  return new MistakeError(
    'STRATEGY_INVALID',
    `expected a condition on the number \`result\` such as \`result < 0.01\`, got \`${shown}\`: ${objection}. ` +
      '`result` is a double: multiply it by 100.0, not by 100',
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
