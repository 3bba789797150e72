/** Signed commands: DSSE (secure-systems-lab/dsse, protocol.md) with Ed25519 over the JCS form of a command. */
import { createPrivateKey, createPublicKey, sign, verify, type KeyObject } from 'node:crypto';
import { Command, Envelope } from '../model/command.js';
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

/** The key read last: a page of commands is signed with one key, and reading it costs more than signing. */
let signing: { pem: string; key: KeyObject; id: string } | undefined;

function signingKey(pem: string): { key: KeyObject; id: string } {
  if (signing?.pem === pem) return signing;
  const key = createPrivateKey(pem);
  signing = { pem, key, id: keyId(key) };
  return signing;
}

export function signCommand(command: Command, privateKeyPem: string): Envelope {
  const { key, id } = signingKey(privateKeyPem);
  const body = Buffer.from(canonicalJson(command));
  const sig = sign(null, preAuthEncoding(PAYLOAD_TYPE, body), key).toString('base64');
  return { payloadType: PAYLOAD_TYPE, payload: body.toString('base64'), signatures: [{ keyid: id, sig }] };
}

/** As many as are pinned: reading one costs more than a verification. */
const pinned = new Map<string, KeyObject>();

function pinnedKey(pem: string): KeyObject {
  const key = pinned.get(pem) ?? createPublicKey(pem);
  pinned.set(pem, key);
  return key;
}

/** The command of an envelope that one of the pinned keys signed, else undefined. What is parsed is what was verified. */
export function openEnvelope(envelope: unknown, pinnedPublicKeysPem: string[]): Command | undefined {
  const read = Envelope.safeParse(envelope);
  if (!read.success) return undefined;
  const body = Buffer.from(read.data.payload, 'base64');
  const signed = preAuthEncoding(read.data.payloadType, body);
  const trusted = pinnedPublicKeysPem.some((pem) => {
    const key = pinnedKey(pem);
    return read.data.signatures.some((s) => verify(null, signed, key, Buffer.from(s.sig, 'base64')));
  });
  if (!trusted) return undefined;
  const parsed = Command.safeParse(JSON.parse(body.toString('utf8')));
  return parsed.success ? parsed.data : undefined;
}
