/** Signed commands: DSSE (secure-systems-lab/dsse, protocol.md) with Ed25519 over the JCS form of a command. */
import type { z } from 'zod';
import { createPrivateKey, createPublicKey, sign, verify, type KeyObject } from 'node:crypto';
import { Command, Envelope } from '../model/command.js';
import { Prefetch, PREFETCH_TYPE, PrefetchEnvelope } from '../model/prefetch.js';
import { canonicalJson, sha256Hex } from './jcs.js';

export const PAYLOAD_TYPE = 'application/vnd.foothold.command+json';

/** Pre-authentication encoding: what is signed is the type and the body, each with its length. */
export function preAuthEncoding(payloadType: string, body: Uint8Array): Buffer {
  const type = Buffer.from(payloadType);
  return Buffer.concat([Buffer.from(`DSSEv1 ${type.length} `), type, Buffer.from(` ${body.length} `), body]);
}

/** Hex sha256 of the public key's SPKI: a hint for people and logs, never what decides trust. */
export function keyId(key: KeyObject): string {
  const spki = (key.type === 'private' ? createPublicKey(key) : key).export({ type: 'spki', format: 'der' });
  return sha256Hex(spki).slice(0, 16);
}

/** DSSE envelope as it travels; `payload` is base64 of the JCS form of what was signed. */
export interface SignedEnvelope<T extends string = string> {
  payloadType: T;
  payload: string;
  signatures: { keyid: string; sig: string }[];
}

/** As many as sign at once: a page of commands is signed with the same keys, and reading one costs more than signing. */
const signing = new Map<string, { key: KeyObject; id: string }>();
const SIGNING_KEPT = 8;

function signingKey(pem: string): { key: KeyObject; id: string } {
  const known = signing.get(pem);
  if (known) return known;
  const key = createPrivateKey(pem);
  const read = { key, id: keyId(key) };
  // A rotation leaves keys behind: none of them is kept for ever.
  if (signing.size >= SIGNING_KEPT) signing.clear();
  signing.set(pem, read);
  return read;
}

/** Signs the JCS form of `value` with each of the private keys (PKCS8 PEM). */
export function signEnvelope<T extends string>(
  payloadType: T,
  value: unknown,
  privateKeysPem: string[],
): SignedEnvelope<T> {
  if (privateKeysPem.length === 0) throw new TypeError('an envelope is signed by at least one key');
  const body = Buffer.from(canonicalJson(value));
  const encoded = preAuthEncoding(payloadType, body);
  const signatures = privateKeysPem.map((pem) => {
    const { key, id } = signingKey(pem);
    return { keyid: id, sig: sign(null, encoded, key).toString('base64') };
  });
  return { payloadType, payload: body.toString('base64'), signatures };
}

/** `privateKeysPem`: one key, or during a rotation both. */
export function signCommand(command: Command, ...privateKeysPem: string[]): Envelope {
  return signEnvelope(PAYLOAD_TYPE, command, privateKeysPem);
}

/** As many as are trusted: reading one costs more than a verification. */
const pinned = new Map<string, KeyObject>();

function pinnedKey(pem: string): KeyObject {
  const key = pinned.get(pem) ?? createPublicKey(pem);
  pinned.set(pem, key);
  return key;
}

/** What one of the public keys has signed, parsed, else undefined. What is parsed is what was verified. */
export function openSigned(envelope: SignedEnvelope, publicKeysPem: string[]): unknown {
  const body = Buffer.from(envelope.payload, 'base64');
  const encoded = preAuthEncoding(envelope.payloadType, body);
  const trusted = publicKeysPem.some((pem) => {
    const key = pinnedKey(pem);
    return envelope.signatures.some((s) => verify(null, encoded, key, Buffer.from(s.sig, 'base64')));
  });
  if (!trusted) return undefined;
  try {
    return JSON.parse(body.toString('utf8')) as unknown;
  } catch {
    return undefined;
  }
}

/** What an envelope claims, signed by whomever: never acted upon, only to find what proves itself, or whom to answer. */
export function readUnverified({ payload }: Pick<SignedEnvelope, 'payload'>): unknown {
  try {
    return JSON.parse(Buffer.from(payload, 'base64').toString('utf8')) as unknown;
  } catch {
    return undefined;
  }
}

/** The command of an envelope that one of the trusted keys signed, else undefined. */
export function openEnvelope(envelope: unknown, trustedPublicKeysPem: string[]): Command | undefined {
  return openAs(Envelope, Command, envelope, trustedPublicKeysPem);
}

export function signPrefetch(wish: Prefetch, ...privateKeysPem: string[]): PrefetchEnvelope {
  return signEnvelope(PREFETCH_TYPE, wish, privateKeysPem);
}

/** The wish of an envelope that one of the trusted keys signed, else undefined. A command is none: the type is signed too. */
export function openPrefetch(envelope: unknown, trustedPublicKeysPem: string[]): Prefetch | undefined {
  return openAs(PrefetchEnvelope, Prefetch, envelope, trustedPublicKeysPem);
}

function openAs<T>(
  form: z.ZodType<SignedEnvelope>,
  content: z.ZodType<T>,
  envelope: unknown,
  trustedPublicKeysPem: string[],
): T | undefined {
  const read = form.safeParse(envelope);
  if (!read.success) return undefined;
  const parsed = content.safeParse(openSigned(read.data, trustedPublicKeysPem));
  return parsed.success ? parsed.data : undefined;
}
