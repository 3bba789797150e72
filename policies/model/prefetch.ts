/**
 * The wish that a site fetch the files of a release before it is told to converge (design §6 `prefetch`). It is no command:
 * signed under a type of its own, it has no verb, and nothing that it brings is ever switched by it.
 */
import { z } from 'zod';
import { Command } from './command.js';
import { SignedKeyset } from './enrolment.js';
import { envelopeOf } from './envelope.js';
import type { OutlineSite } from './outline.js';
import { Digest, Name } from './names.js';
import type { ReleaseRef } from './release.js';

export const Prefetch = z.strictObject({
  version: z.literal(1),
  /** Label of the rollout, for people. */
  rollout: z.string(),
  site: Name,
  stream: Name,
  /** That of the rollout's converges: a site that has had one of them, or of a later rollout, needs this no more. */
  generation: z.number().int().positive(),
  digest: Digest,
  releaseVersion: z.string(),
  issuedAt: z.number().int(),
  /** What the link class has to give; absent: as fast as it goes. */
  bytesPerSecond: z.number().positive().optional(),
  /** Whom it is for, as in a command. */
  ackedThrough: Command.shape.ackedThrough,
  epoch: Command.shape.epoch,
  instance: Command.shape.instance,
  keyset: SignedKeyset.optional(),
});
export type Prefetch = z.infer<typeof Prefetch>;

/** DSSE envelope; `payload` is base64 of the JCS form of a Prefetch. */
export const PREFETCH_TYPE = 'application/vnd.foothold.prefetch+json';
export const PrefetchEnvelope = envelopeOf(PREFETCH_TYPE);
export type PrefetchEnvelope = z.infer<typeof PrefetchEnvelope>;

/** To at most 500 sites, until their rollout begins to switch. */
export interface PrefetchInput {
  label: string;
  planDigest: string;
  release: ReleaseRef;
  generation: number;
  sites: OutlineSite[];
  /** Epoch ms. Whom it has not reached by then fetches when it converges. */
  until: number;
}

/** How many sites of a plan have the files, by what each reported last. */
export interface PrefetchCount {
  sites: number;
  /** All files are there, or the release is live already. */
  whole: number;
  /** Asked, and not there yet. */
  underWay: number;
}
