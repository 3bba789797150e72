/** Release directories and depots for the depot tests, each in its own temporary directory that is removed afterwards. */
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach } from 'vitest';
import { MistakeError, WorldError } from '../../../policies/model/failure.js';

const made: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const undo of made.splice(0).reverse()) await undo();
});

/** Undone after the test, last first. */
export function afterwards(undo: () => Promise<unknown>): void {
  made.push(undo);
}

export async function scratch(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'foothold-depot-'));
  afterwards(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

export const RELEASE = {
  apiVersion: 'foothold/v1',
  kind: 'Release',
  stream: 'edge-proxy',
  version: '2.4.0',
  vars: { listen: 'string', workers: 'integer' },
  driver: { type: 'directory', files: './files', templates: ['*.conf'], target: '/etc/edge-proxy' },
  checks: [{ name: 'answers', http: 'http://{{listen}}/health' }],
  watchFor: '0s',
};
export const FILES: Record<string, string | Uint8Array> = {
  'files/nginx.conf': 'worker_processes {{workers}};\nlisten {{listen}}; # {{site.id}}\n',
  'files/logo.bin': Uint8Array.from({ length: 3000 }, (_, i) => i % 251),
  'files/pages/index.html': '<h1>hello</h1>\n',
};

/** A release directory: `RELEASE` with `file` laid over it, and `files` in it. */
export async function releaseDirectory(
  file: Record<string, unknown> = {},
  files: Record<string, string | Uint8Array> = FILES,
): Promise<string> {
  const directory = await scratch();
  await writeFile(join(directory, 'release.yaml'), JSON.stringify({ ...RELEASE, ...file }));
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), content);
  }
  return directory;
}

/** `Mistake|World CODE: message` and details of what `act` is refused with. */
export async function refusal(act: () => Promise<unknown>): Promise<string> {
  try {
    await act();
  } catch (error) {
    if (error instanceof MistakeError) return [`Mistake ${error.code}: ${error.message}`, ...error.details].join('\n');
    if (error instanceof WorldError) return `World ${error.code}: ${error.message}`;
    throw error;
  }
  throw new Error('nothing was refused');
}
