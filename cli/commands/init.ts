/** `init`: the first files and the control key. Never writes over anything. */
import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import { MistakeError, WorldError } from '../../policies/model/failure.js';
import { keyId } from '../../policies/signing/dsse.js';
import { done, type Answer } from '../answer.js';
import type { Context } from '../context.js';
import type { Execute } from '../execute.js';
import { FIRST_FILES } from '../first-files.js';
import { indent } from '../render/table.js';

const PRIVATE = 'control.key';
const PUBLIC = 'control.pub';
const DEPOT = 'depot';

export function declareInit(program: Command, execute: Execute): void {
  program
    .command('init')
    .description('make the first files and the control key, writing over nothing')
    .argument('[directory]', 'where (default: here)')
    .option('--dry-run', 'say what would be made, and make nothing')
    .action((directory: string | undefined, flags: { dryRun?: boolean }, self: Command) =>
      execute(self, (context) => init(context, directory ?? '.', flags.dryRun === true)),
    );
}

/** `{ directory, created, kept, publicKey?, keyId? }`; throws MistakeError FILE_EXISTS for a public half without its key. */
export async function init(context: Context, directory: string, dryRun: boolean): Promise<Answer> {
  const base = context.path(directory);
  const wanted = [...Object.keys(FIRST_FILES), `${DEPOT}/`, PRIVATE, PUBLIC];
  const kept = wanted.filter((name) => existsSync(join(base, name)));
  const created = wanted.filter((name) => !kept.includes(name));
  if (kept.includes(PUBLIC) && !kept.includes(PRIVATE)) throw orphanedPublicHalf(join(base, PUBLIC));
  if (dryRun)
    return done({ directory: base, created: [], wouldCreate: created, kept, dryRun }, listText(created, kept, true));

  try {
    for (const name of created) await make(base, name);
  } catch (error) {
    throw new WorldError('FILE_NOT_WRITTEN', `expected to make files in ${base}, could not`, { cause: error });
  }
  const publicKey = await readFile(join(base, PUBLIC), 'utf8');
  const id = keyId(createPublicKey(publicKey));
  const text = `${listText(created, kept, false)}\n${keyText(publicKey, id)}\n${nextText(kept)}`;
  return done({ directory: base, created, kept, publicKey, keyId: id }, text);
}

/** The order of `wanted` matters: the public half is derived from the private one that is there by then. */
async function make(base: string, name: string): Promise<void> {
  const path = join(base, name);
  if (name.endsWith('/')) {
    await mkdir(path, { recursive: true });
    return;
  }
  await mkdir(dirname(path), { recursive: true });
  // `wx`: a file that appeared meanwhile is not written over either.
  if (name === PRIVATE) await writeFile(path, newKey(), { flag: 'wx', mode: 0o600 });
  else if (name === PUBLIC) await writeFile(path, await publicHalf(join(base, PRIVATE)), { flag: 'wx' });
  else await writeFile(path, FIRST_FILES[name] ?? '', { flag: 'wx' });
}

function newKey(): string {
  return generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

async function publicHalf(privatePath: string): Promise<string> {
  const key = createPrivateKey(await readFile(privatePath, 'utf8'));
  return createPublicKey(key).export({ type: 'spki', format: 'pem' }).toString();
}

function orphanedPublicHalf(path: string): MistakeError {
  return new MistakeError(
    'FILE_EXISTS',
    `expected ${PRIVATE} beside ${path}, there is none: bring the key back, or move its public half away for a new pair`,
  );
}

function listText(created: string[], kept: string[], dry: boolean): string {
  const lines = [
    ...created.map((name) => `${dry ? 'would make' : 'made'}  ${name}`),
    ...kept.map((name) => `kept  ${name} (was there already)`),
  ];
  return `${lines.join('\n')}\n`;
}

function keyText(publicKey: string, id: string): string {
  return [
    `control key ${id}; its public half goes to every site as a file named in agent.yaml:`,
    indent(publicKey.trim()),
    indent('agent.yaml:  controlKeys: [control.pub]'),
    `keep ${PRIVATE} out of version control; whoever has it commands every site that pins its public half`,
    '',
  ].join('\n');
}

function nextText(kept: string[]): string {
  const first = kept.includes('fleet.yaml') ? [] : ['write your sites into fleet.yaml'];
  const steps = [...first, 'foothold validate foothold.yaml fleet.yaml strategies/careful.yaml', 'foothold doctor'];
  return `next\n${indent(steps.join('\n'))}`;
}
