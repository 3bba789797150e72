/** Who a site is, and which control keys it trusts (docs/decisions/0003). Times in epoch ms. */
import { z } from 'zod';
import { envelopeOf } from './envelope.js';
import { HttpUrl, Name } from './names.js';
import type { Reason } from './verdict.js';

/** The epoch of a site that was never replaced. */
export const FIRST_EPOCH = 1;

/** Public control keys that sites are to trust. A higher version replaces a lower one. */
export const Keyset = z.strictObject({
  version: z.number().int().positive(),
  /** Ed25519 public halves in PEM; `id` is a hint for people, worked out from the key wherever it matters. */
  keys: z
    .array(z.strictObject({ id: z.string(), pem: z.string() }))
    .min(1)
    .max(8),
  issuedAt: z.number().int(),
});
export type Keyset = z.infer<typeof Keyset>;

export const KEYSET_TYPE = 'application/vnd.foothold.keyset+json';
/** DSSE envelope of a keyset: signed by keys that sites trust already, and by its own. */
export const SignedKeyset = envelopeOf(KEYSET_TYPE);
export type SignedKeyset = z.infer<typeof SignedKeyset>;

/** What a person carries to a site, once: who it is, whom it may believe, and where releases are. */
export const EnrolmentToken = z.strictObject({
  version: z.literal(1),
  /** Good for one instance: the first that reports it. */
  id: z.string(),
  site: Name,
  epoch: z.number().int().positive(),
  depot: HttpUrl,
  keyset: SignedKeyset,
  issuedAt: z.number().int(),
  /** By when the site must have enrolled, and have reported so for the first time. */
  expiresAt: z.number().int(),
});
export type EnrolmentToken = z.infer<typeof EnrolmentToken>;

export const TOKEN_TYPE = 'application/vnd.foothold.enrolment+json';
export const SignedToken = envelopeOf(TOKEN_TYPE);
export type SignedToken = z.infer<typeof SignedToken>;

/** What the centre knows a site by. A site without one is in its first epoch, and was never enrolled. */
export interface SiteIdentity {
  site: string;
  epoch: number;
  /** The token of this epoch, if one was issued. */
  token?: { id: string; expiresAt: number };
  /** The instance that reported the token first. Only it speaks for the site, and is commanded. */
  instance?: string;
  boundAt?: number;
  /** Two journals speak for the site: nothing is begun there until one of them is alone again, or it is replaced. */
  doubt?: Reason & { since: number; reportedAt: number };
  retired?: { at: number; by: string; reason: string };
}

/** What was done to the identity of a site, for its history. */
export interface IdentityChange {
  site: string;
  number: number;
  at: number;
  what: 'enrolled' | 'replaced' | 'bound' | 'adopted' | 'doubted' | 'cleared' | 'retired';
  by: string;
  reason: string;
  detail: Record<string, unknown>;
}

/** The steps of a rotation: sites learn both keys, then the new one alone, then only the new one signs. */
export type RotationPhase = 'learning' | 'switched';
export interface KeyRotation {
  phase: RotationPhase;
  oldKeyId: string;
  newKeyId: string;
  begunAt: number;
  by: string;
  /** Sites that a step did not wait for. */
  leftBehind: string[];
}

/** The latest keyset, and the rotation under way, if any. */
export interface ControlKeys {
  keyset?: { version: number; envelope: SignedKeyset };
  rotation?: KeyRotation;
}

/** Where a depot has the latest signed keyset: sites without a command learn of it there. */
export const KEYSET_PATH = 'control/keyset.json';
