/** The frame around every command: open a context, run, print one answer or one error, close, set the exit code. */
import type { Command } from 'commander';
import type { Answer, ExitCode } from './answer.js';
import { Context, type GlobalFlags } from './context.js';
import type { Io } from './io.js';
import { failureDocument, failureOf, failureText } from './render/failure.js';
import { paintFor } from './render/paint.js';

export type Body = (context: Context) => Promise<Answer>;
/** Handed to every command's declaration. */
export type Execute = (command: Command, body: Body) => Promise<void>;

export function executor(io: Io, ended: (exit: ExitCode) => void): Execute {
  return async (command, body) => {
    const flags: GlobalFlags = command.optsWithGlobals();
    const context = new Context(io, flags);
    try {
      const answer = await body(context);
      printAnswer(io, flags.json === true, answer);
      ended(answer.exit);
    } catch (error) {
      ended(printFailure(io, flags.json === true, error));
    } finally {
      await context.close();
    }
  };
}

function printAnswer(io: Io, json: boolean, answer: Answer): void {
  if (json) io.out(`${JSON.stringify(answer.document, undefined, 2)}\n`);
  else if (answer.text !== '') io.out(answer.text.endsWith('\n') ? answer.text : `${answer.text}\n`);
}

export function printFailure(io: Io, json: boolean, error: unknown): ExitCode {
  const failure = failureOf(error);
  if (json) io.out(`${JSON.stringify(failureDocument(failure), undefined, 2)}\n`);
  io.err(failureText(failure, paintFor(io.errTerminal, io.env)));
  return failure.exit;
}
