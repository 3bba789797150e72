// @ts-check
/** Starting other programs from set-up: output captured, and shown only when the program fails. */
import { spawn } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';

/** A fault that a person can mend; printed as one message, without a stack. */
export class SetupError extends Error {
  /** @override */
  name = 'SetupError';
}

/**
 * Runs a program to its end and returns its standard output.
 * @param {string} program
 * @param {string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv }} [options]
 * @returns {Promise<string>}
 * @throws {SetupError} with all the output, when the program is missing or does not exit with 0
 */
export function run(program, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    let all = '';
    child.stdout.setEncoding('utf8').on('data', (text) => ((out += text), (all += text)));
    child.stderr.setEncoding('utf8').on('data', (text) => (all += text));
    child.on('error', (error) => reject(new SetupError(`expected to start ${program}: ${error.message}`)));
    child.on('close', (code, signal) => {
      if (code === 0) resolve(out);
      else
        reject(
          new SetupError(
            `expected exit code 0 from \`${[program, ...args].join(' ')}\`, got ${code ?? signal}:\n${all.trim()}`,
          ),
        );
    });
  });
}

/** Folders of programs that a person's PATH often lacks, though daemons are installed there. */
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

/**
 * The full path of a program on PATH, or in one of the system's folders for daemons.
 * @param {string} name
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {Promise<string | undefined>}
 */
export async function onPath(name, env = process.env) {
  for (const folder of [...(env['PATH'] ?? '').split(delimiter).filter(Boolean), ...SYSTEM_FOLDERS]) {
    const path = join(folder, name);
    if (await isExecutable(path)) return path;
  }
  return undefined;
}

/** @param {string} path @returns {Promise<boolean>} */
export async function isExecutable(path) {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
