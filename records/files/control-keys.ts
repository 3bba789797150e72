/** The private control keys of this centre, on the disk of whoever signs: one, or during a rotation two (docs/decisions/0003). */
import { createPrivateKey } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import type { ControlKeys } from '../../policies/model/enrolment.js';
import { MistakeError } from '../../policies/model/failure.js';
import { keyId } from '../../policies/signing/dsse.js';
import { keyIdOf, keysetOf } from '../../policies/signing/keyset.js';

/** Never printed, never logged, never in a failure. */
export interface ControlKey {
  id: string;
  privatePem: string;
}

/** Where a rotation keeps the key that is to come. */
export const nextKeyPath = (path: string): string => `${path}.next`;

/** Throws MistakeError CONTROL_KEY if it is missing, no Ed25519 key, or can be read by others: who holds it commands every site. */
export async function readControlKey(path: string): Promise<ControlKey> {
  const info = await stat(path).catch(() => undefined);
  if (!info) throw new MistakeError('CONTROL_KEY', `expected the control key at ${path}; make one with: foothold init`);
  if ((info.mode & 0o077) !== 0) {
    throw new MistakeError('CONTROL_KEY', `${path} can be read by others; mend it with: chmod 600 ${path}`);
  }
  const privatePem = await readFile(path, 'utf8');
  return { id: idOf(privatePem, path), privatePem };
}

/**
 * Both keys while a rotation is under way: sites that know either one believe what both have signed. Throws MistakeError
 * CONTROL_KEY for a key that sites no longer trust, or do not yet: what it signs is obeyed by nobody.
 */
export async function readSigningKeys(path: string, known: ControlKeys): Promise<ControlKey[]> {
  const { rotation } = known;
  const key = await readControlKey(path);
  if (rotation === undefined) {
    refuseForeign(key.id, path, known);
    return [key];
  }
  // With the new key in place already, only the end of the rotation was not recorded yet.
  if (key.id === rotation.newKeyId) return [key];
  if (key.id !== rotation.oldKeyId) throw notInForce(`${rotation.oldKeyId} or ${rotation.newKeyId}`, key.id, path);
  const next = await readControlKey(nextKeyPath(path));
  if (next.id === rotation.newKeyId) return [key, next];
  const message = `expected the key ${rotation.newKeyId} of the rotation at ${nextKeyPath(path)}, got ${next.id}: bring it back`;
  throw new MistakeError('CONTROL_KEY', message);
}

/** With a keyset and no rotation, only its own keys sign. Throws MistakeError CONTROL_KEY, naming both. */
export function refuseForeign(id: string, path: string, known: ControlKeys): void {
  const keyset = keysetOf(known);
  if (keyset === undefined || known.rotation !== undefined) return;
  // Worked out from the keys: the ids in a keyset are hints.
  const ids = keyset.keys.map(({ pem }) => keyIdOf(pem));
  if (!ids.includes(id)) throw notInForce(`${ids.join(' or ')} of keyset ${keyset.version}`, id, path);
}

function notInForce(expected: string, got: string, path: string): MistakeError {
  const message = `expected the control key ${expected} at ${path}, got ${got}: sites would refuse what it signs`;
  return new MistakeError('CONTROL_KEY', message, [
    `bring ${expected} back to ${path}; on a second control machine, after a rotation: mv ${path}.next ${path}`,
    'if the registry was put back to before a rotation: foothold keys recover',
  ]);
}

function idOf(pem: string, path: string): string {
  try {
    const key = createPrivateKey(pem);
    if (key.asymmetricKeyType === 'ed25519') return keyId(key);
  } catch {
    // told below, without what was read
  }
  throw new MistakeError('CONTROL_KEY', `expected an Ed25519 private key in PEM form at ${path}, got something else`);
}
