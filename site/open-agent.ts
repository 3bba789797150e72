/** Takes a data directory and makes its agent, or says why not. */
import { createPublicKey } from 'node:crypto';
import { resolve } from 'node:path';
import { MistakeError } from '../policies/model/failure.js';
import { Agent } from './agent.js';
import { troubleOf } from './disk/trouble.js';
import { DiskTakesNoWrite, guardFromCopy } from './guard-from-copy.js';
import { openContext, withRoom } from './open-context.js';
import type { AgentOptions } from './options.js';
import { lockDirectory } from './store/database.js';

/**
 * Takes the data directory. Throws MistakeError BAD_ARGUMENT; WorldError AGENT_RUNNING, STORE_BROKEN. On a disk that takes
 * no write, what was half done is undone, unless it was `guarded` already; then throws DiskTakesNoWrite.
 */
export async function openAgent(options: AgentOptions, guarded = false): Promise<Agent> {
  options.controlKeysPem.forEach(demandKey);
  const dataDirectory = resolve(options.dataDirectory);
  const whole = { ...options, dataDirectory };
  try {
    return await openWritable(whole);
  } catch (error) {
    if (troubleOf(error, dataDirectory) !== 'broken') throw error;
    if (!guarded) await guardFromCopy(dataDirectory, options, (books) => openContext(whole, books));
    throw new DiskTakesNoWrite(dataDirectory, error);
  }
}

async function openWritable(options: AgentOptions): Promise<Agent> {
  const { dataDirectory } = options;
  const unlock = withRoom(dataDirectory, () => lockDirectory(dataDirectory));
  try {
    const context = openContext(options);
    await context.holdings.prepare();
    return new Agent(context, unlock, options);
  } catch (error) {
    unlock();
    throw error;
  }
}

function demandKey(pem: string): void {
  try {
    if (createPublicKey(pem).asymmetricKeyType === 'ed25519') return;
  } catch {
    // told below
  }
  throw new MistakeError('BAD_ARGUMENT', 'expected pinned control keys to be Ed25519 public keys in PEM form');
}
