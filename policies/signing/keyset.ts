/** Signed control keysets and enrolment tokens (docs/decisions/0003): DSSE, as commands are. */
import { createPublicKey } from 'node:crypto';
import {
  EnrolmentToken,
  Keyset,
  KEYSET_TYPE,
  SignedKeyset,
  SignedToken,
  TOKEN_TYPE,
  type ControlKeys,
} from '../model/enrolment.js';
import { keyId, openSigned, readUnverified, signEnvelope } from './dsse.js';

/** The public half of a private key, PEM. */
export function publicHalf(privateKeyPem: string): string {
  return createPublicKey(privateKeyPem).export({ type: 'spki', format: 'pem' }).toString();
}

/** The same text for the same key, however its file was written. */
export function publicForm(publicKeyPem: string): string {
  return createPublicKey(publicKeyPem).export({ type: 'spki', format: 'pem' }).toString();
}

/** Every report of a site names its keys, and reading one costs more than all the rest of the report. */
const ids = new Map<string, string>();
const IDS_KEPT = 32;

/** Worked out from the key; whatever id it came with. */
export function keyIdOf(publicKeyPem: string): string {
  const known = ids.get(publicKeyPem);
  if (known !== undefined) return known;
  const id = keyId(createPublicKey(publicKeyPem));
  // Whoever enrols sites reads the keys of many: none is kept for ever.
  if (ids.size >= IDS_KEPT) ids.clear();
  ids.set(publicKeyPem, id);
  return id;
}

/** A keyset of these public keys, signed by each of the private keys. */
export function signKeyset(
  version: number,
  publicKeysPem: string[],
  privateKeysPem: string[],
  now: number,
): SignedKeyset {
  const keys = publicKeysPem.map((pem) => ({ id: keyIdOf(pem), pem }));
  return signEnvelope(KEYSET_TYPE, { version, keys, issuedAt: now } satisfies Keyset, privateKeysPem);
}

/** The keyset that one of the trusted keys signed and whose keys can all be used, else undefined. */
export function openKeyset(envelope: unknown, trustedPem: string[]): Keyset | undefined {
  const read = SignedKeyset.safeParse(envelope);
  if (!read.success) return undefined;
  const parsed = Keyset.safeParse(openSigned(read.data, trustedPem));
  return parsed.success && parsed.data.keys.every(({ pem }) => isControlKey(pem)) ? parsed.data : undefined;
}

/** What a keyset says of itself, proven by nobody. */
export function claimedKeyset(envelope: unknown): Keyset | undefined {
  const read = SignedKeyset.safeParse(envelope);
  const parsed = read.success ? Keyset.safeParse(readUnverified(read.data)) : undefined;
  return parsed?.success === true && parsed.data.keys.every(({ pem }) => isControlKey(pem)) ? parsed.data : undefined;
}

/** Throws TypeError for what this centre did not sign itself. */
export function keysetOf({ keyset }: ControlKeys): Keyset | undefined {
  if (keyset === undefined) return undefined;
  const claimed = claimedKeyset(keyset.envelope);
  if (claimed?.version !== keyset.version) throw new TypeError('the registry holds a keyset that is none');
  return claimed;
}

export function signToken(token: EnrolmentToken, privateKeysPem: string[]): SignedToken {
  return signEnvelope(TOKEN_TYPE, token, privateKeysPem);
}

/** The token that one of the trusted keys signed, else undefined. */
export function openToken(envelope: unknown, trustedPem: string[]): EnrolmentToken | undefined {
  const read = SignedToken.safeParse(envelope);
  if (!read.success) return undefined;
  const parsed = EnrolmentToken.safeParse(openSigned(read.data, trustedPem));
  return parsed.success ? parsed.data : undefined;
}

export function claimedToken(envelope: unknown): EnrolmentToken | undefined {
  const read = SignedToken.safeParse(envelope);
  const parsed = read.success ? EnrolmentToken.safeParse(readUnverified(read.data)) : undefined;
  return parsed?.success === true ? parsed.data : undefined;
}

function isControlKey(pem: string): boolean {
  try {
    return !pem.includes('PRIVATE') && createPublicKey(pem).asymmetricKeyType === 'ed25519';
  } catch {
    return false;
  }
}
