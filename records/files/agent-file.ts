/** Loading `agent.yaml` at a site, with the control keys that it pins. */
import { createPublicKey } from 'node:crypto';
import { dirname } from 'node:path';
import { z } from 'zod';
import { MistakeError } from '../../policies/model/failure.js';
import type { Fault } from '../../policies/model/fault.js';
import { AgentFile } from '../../policies/model/project.js';
import { checkFile, refuse } from './check-file.js';
import type { SourceFile } from './located.js';
import { resolveFrom } from './project-file.js';
import { readText } from './read-text.js';
import { readYamlFile } from './yaml-file.js';

export interface LoadedAgent {
  /** Paths resolved against `directory`. */
  agent: AgentFile;
  directory: string;
  /** The pinned control keys, in the order of `controlKeys`: Ed25519 public keys in PEM. */
  controlKeysPem: string[];
  filled: unknown;
}

/** Throws MistakeError FILE_INVALID or FILE_NOT_FOUND; a key that cannot be used is a finding at its entry. */
export async function loadAgent(path: string): Promise<LoadedAgent> {
  const source = await readYamlFile(path, 'FILE_INVALID');
  const { file, filled } = readAgent(source);
  const directory = dirname(path);
  const agent = resolveAgent(file, directory);
  return { agent, directory, controlKeysPem: await pinnedKeys(source, agent.controlKeys), filled };
}

/** The file without looking at the keys, which need not be on the machine that only checks it. */
export function readAgent(source: SourceFile): { file: AgentFile; filled: unknown } {
  const file = checkFile(source, { kind: 'Agent', schema: AgentFile, code: 'FILE_INVALID' });
  return { file, filled: z.encode(AgentFile, file) };
}

function resolveAgent(file: AgentFile, directory: string): AgentFile {
  const at = (path: string) => resolveFrom(directory, path);
  const resolved = { ...file, data: at(file.data), controlKeys: file.controlKeys.map(at) };
  return file.secrets === undefined ? resolved : { ...resolved, secrets: at(file.secrets) };
}

async function pinnedKeys(source: SourceFile, paths: string[]): Promise<string[]> {
  const faults: Fault[] = [];
  const keys: string[] = [];
  for (const [i, path] of paths.entries()) {
    try {
      keys.push(publicKey(path, await readText(path, 'FILE_INVALID')));
    } catch (error) {
      if (!(error instanceof MistakeError)) throw error;
      faults.push({ path: ['controlKeys', i], message: error.message });
    }
  }
  if (faults.length > 0) throw refuse(source, faults, 'FILE_INVALID');
  return keys;
}

/** A private key would serve as well, and then lie at every site. */
function publicKey(path: string, pem: string): string {
  const wanted = `${path}: expected an Ed25519 public key in PEM, as \`foothold init\` prints it`;
  if (pem.includes('PRIVATE KEY')) {
    throw new MistakeError('FILE_INVALID', `${wanted}, found a private key: it must never be at a site`);
  }
  let type: string | undefined;
  try {
    type = createPublicKey(pem).asymmetricKeyType;
  } catch {
    throw new MistakeError('FILE_INVALID', `${wanted}, found something else`);
  }
  if (type !== 'ed25519') throw new MistakeError('FILE_INVALID', `${wanted}, found a key of type ${type ?? 'unknown'}`);
  return pem;
}
