/** Whether this machine still computes digests and signatures as everybody else does (fault H9). */
import { createHash, createPublicKey, verify } from 'node:crypto';
import { WorldError } from '../../policies/model/failure.js';

/** FIPS 180-2, and RFC 8032 §7.1 test 2. */
const ABC = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
const KEY = '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c';
const SIGNATURE =
  '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00';
const SPKI = '302a300506032b6570032100';

export interface Crypto {
  sha256(text: string): string;
  verify(message: Buffer, signature: Buffer): boolean;
}

const machine: Crypto = {
  sha256: (text) => createHash('sha256').update(text).digest('hex'),
  verify: (message, signature) => {
    const key = createPublicKey({ key: Buffer.from(SPKI + KEY, 'hex'), format: 'der', type: 'spki' });
    return verify(null, message, key, signature);
  },
};

/** Throws WorldError STORAGE_FAULT: what such a machine calls damaged may be whole, and the other way round. */
export function judgeDigests(crypto: Crypto = machine): void {
  const signature = Buffer.from(SIGNATURE, 'hex');
  const right = crypto.sha256('abc') === ABC && crypto.verify(Buffer.from('72', 'hex'), signature);
  const wrong = crypto.verify(Buffer.from('73', 'hex'), signature);
  if (right && !wrong) return;
  throw new WorldError(
    'STORAGE_FAULT',
    'this machine computes digests or signatures wrongly; nothing it verifies is believed',
  );
}
