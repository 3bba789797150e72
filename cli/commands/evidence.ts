/** `evidence export|verify`: a rollout's record as one file, and the proof of it with nothing else at hand. */
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { MistakeError, WorldError } from '../../policies/model/failure.js';
import { EXIT, done, type Answer } from '../answer.js';
import type { Context } from '../context.js';
import type { Execute } from '../execute.js';
import { playbookOf } from '../render/failure.js';
import { clock } from '../render/times.js';
import { findRollout } from '../rollouts.js';

export function declareEvidence(program: Command, execute: Execute): void {
  const evidence = program.command('evidence').description('the record of a rollout, and whether it holds');
  evidence
    .command('export')
    .description('write the evidence of a rollout as one document that can be verified offline')
    .argument('<rollout>', 'its id, or the stream while only one runs')
    .option('-o, --output <file>', 'write it there (default: standard output)')
    .action((reference: string, flags: { output?: string }, self: Command) =>
      execute(self, (context) => exportOne(context, reference, flags.output)),
    );
  evidence
    .command('verify')
    .description('whether an exported document holds: links, hashes, order, times, plan; needs no server')
    .argument('<file>')
    .action((file: string, _flags: unknown, self: Command) => execute(self, (context) => verify(context, file)));
}

/** The document itself; with `-o` `{ rollout, file, entries, head }`. Throws MistakeError ROLLOUT_NOT_FOUND. */
export async function exportOne(context: Context, reference: string, output: string | undefined): Promise<Answer> {
  const { rollout, registry } = await findRollout(context, reference);
  const { exportEvidence } = await import('../../records/evidence/document.js');
  const document = await exportEvidence(registry ?? (await context.registry()), rollout.firstRunId);
  const text = JSON.stringify(document, undefined, 2);
  if (output === undefined) return done(document, text);
  const file = context.path(output);
  const over = existsSync(file) ? ', over the file that was there' : '';
  try {
    await writeFile(file, `${text}\n`);
  } catch (error) {
    throw new WorldError('FILE_NOT_WRITTEN', `expected to write the evidence to ${file}, could not`, { cause: error });
  }
  const entries = document.entries.length;
  return done(
    { rollout: rollout.label, file, entries, head: document.head },
    `wrote ${entries} entries of ${rollout.label} to ${file}${over}\nnext: foothold evidence verify ${output}`,
  );
}

/** `{ file, ok, … }` as `VerifiedEvidence`; exit code 1 if it does not verify, with what is wrong and where. */
export async function verify(context: Context, written: string): Promise<Answer> {
  const file = context.path(written);
  const content = await readFile(file, 'utf8').catch(() => {
    throw new MistakeError('FILE_NOT_FOUND', `expected a file at ${file}, there is none that can be read`);
  });
  const { verifyEvidence } = await import('../../records/evidence/document.js');
  const judged = verifyEvidence(parsed(content));
  if (judged.ok) {
    const { label } = JSON.parse(content) as { label: string };
    const span = `${clock(judged.firstAt, context.io.now())} to ${clock(judged.lastAt, context.io.now())}`;
    const kinds = Object.entries(judged.kinds).map(([kind, count]) => `${count} ${kind}`);
    const text = `${context.paint('green', 'VERIFIED')} · ${label} · ${judged.entries} entries, ${span}\n  ${kinds.join(', ')}`;
    return done({ file, rollout: label, ...judged }, text);
  }
  const where = judged.index === undefined ? 'the document' : `entry ${judged.index} (counted from 0)`;
  const text = `${context.paint('red', 'DOES NOT VERIFY')} · EVIDENCE_BROKEN · ${where}: ${judged.reason} · see ${playbookOf('EVIDENCE_BROKEN')}`;
  return { exit: EXIT.no, document: { file, code: 'EVIDENCE_BROKEN', ...judged }, text };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
