/** `validate`: are these files what they say they are? */
import type { Command } from 'commander';
import { stringify } from 'yaml';
import { MistakeError } from '../../policies/model/failure.js';
import { EXIT, type Answer } from '../answer.js';
import type { Context } from '../context.js';
import type { Execute } from '../execute.js';
import { indent } from '../render/table.js';

export function declareValidate(program: Command, execute: Execute): void {
  program
    .command('validate')
    .description('check files of any kind; nothing is changed')
    .argument('<files...>')
    .option('--show-defaults', 'print each file with every default filled in')
    .action((files: string[], flags: { showDefaults?: boolean }, self: Command) =>
      execute(self, (context) => validate(context, files, flags.showDefaults === true)),
    );
}

type Judged =
  | { file: string; valid: true; kind: string; name: string; filled?: unknown }
  | { file: string; valid: false; code: string; message: string; details: string[] };

/** `{ valid, files: [{ file, valid, kind, name } | { file, valid, code, message, details }] }`; one bad file: exit code 2. */
export async function validate(context: Context, files: string[], showDefaults: boolean): Promise<Answer> {
  const judged: Judged[] = [];
  for (const file of files) judged.push(await judge(context, file, showDefaults));
  const valid = judged.every((one) => one.valid);
  const text = judged.map((one) => (one.valid ? validText(context, one) : invalidText(context, one))).join('\n');
  return { exit: valid ? EXIT.done : EXIT.mistake, document: { valid, files: judged }, text };
}

async function judge(context: Context, file: string, showDefaults: boolean): Promise<Judged> {
  const { validateFile } = await import('../../records/files/validate.js');
  try {
    const { kind, name, filled } = await validateFile(context.path(file));
    return { file, valid: true, kind, name, ...(showDefaults ? { filled } : {}) };
  } catch (error) {
    if (!(error instanceof MistakeError)) throw error;
    return { file, valid: false, code: error.code, message: error.message, details: error.details };
  }
}

function validText(context: Context, one: Extract<Judged, { valid: true }>): string {
  const line = `${context.paint('green', 'valid')}    ${one.file}  ${one.kind} ${one.name}`;
  return one.filled === undefined ? line : `${line}\n${indent(stringify(one.filled)).trimEnd()}`;
}

function invalidText(context: Context, one: Extract<Judged, { valid: false }>): string {
  const findings = one.details.length > 0 ? one.details : [one.message];
  return `${context.paint('red', 'invalid')}  ${one.file}  ${one.code}\n${indent(findings.join('\n'))}`;
}
