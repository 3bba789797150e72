/** Commands, their signed form, and how they end (design §2, §4, §5). */
import { z } from 'zod';
import { SignedKeyset } from './enrolment.js';
import { envelopeOf } from './envelope.js';
import { Digest, Name, Vars, type Digest as DigestText } from './names.js';
import type { PrefetchEnvelope } from './prefetch.js';
import type { Reason } from './verdict.js';
import type { SiteEvent, SiteReport } from './report.js';

export const Verb = z.enum(['converge', 'revert']);
export type Verb = z.infer<typeof Verb>;

/** One instruction to one site. Times in epoch ms. `digest` is the release to reach (converge) or to undo (revert). */
export const Command = z.strictObject({
  version: z.literal(1),
  /** `<first run id>/<site>/<stream>/<verb>/<try>` */
  id: z.string(),
  /** Label of the rollout, for people. */
  rollout: z.string(),
  site: Name,
  stream: Name,
  verb: Verb,
  generation: z.number().int().positive(),
  try: z.number().int().positive(),
  digest: Digest,
  releaseVersion: z.string(),
  vars: Vars,
  planDigest: Digest,
  issuedAt: z.number().int(),
  /** Past it the site does not begin switching. Only on a converge. */
  switchBy: z.number().int().optional(),
  /** A person has lifted the quarantine of this release at this site. */
  allowed: z.boolean(),
  /** Events of this epoch up to this sequence are recorded at the centre; `hash` is that of the last of them. */
  ackedThrough: z.strictObject({ epoch: z.number().int(), sequence: z.number().int(), hash: z.string().optional() }),
  /** The site's epoch: an agent of another one refuses. Absent: the first. */
  epoch: z.number().int().positive().optional(),
  /** The instance that the site's enrolment is bound to: another one refuses. */
  instance: z.string().optional(),
  /** The latest control keys: adopted if keys that the site trusts have signed them. */
  keyset: SignedKeyset.optional(),
});
export type Command = z.infer<typeof Command>;

/** DSSE envelope; `payload` is base64 of the JCS form of a Command. */
export const Envelope = envelopeOf('application/vnd.foothold.command+json');
export type Envelope = z.infer<typeof Envelope>;

/** States of a stream at a site; the table is in `policies/site/transitions.ts`. */
export const SITE_STATES = [
  'idle',
  'accepted',
  'staged',
  'switching',
  'watching',
  'confirmed',
  'rejected',
  'reverting',
  'reverted',
  'safe-mode',
] as const;
export type SiteState = (typeof SITE_STATES)[number];

export type ResultWord = 'confirmed' | 'reverted' | 'rejected' | 'superseded' | 'safe-mode';

/**
 * What made a site revert. `command` never counts against a failure budget; `uplink` does not where most of the sites
 * being watched lost it together, and never quarantines.
 */
export type Cause = 'check' | 'deadline' | 'boot' | 'person' | 'command' | 'switch' | 'uplink';

/** How a command ended at the site; journaled there and final for its id. `at` is the site's clock, epoch ms. */
export interface Result {
  commandId: string;
  site: string;
  stream: string;
  verb: Verb;
  generation: number;
  try: number;
  result: ResultWord;
  at: number;
  /** False if the live release is what it was before the command. */
  changed: boolean;
  cause?: Cause;
  reason?: Reason;
  live?: { version: string; digest: DigestText };
  switchedAt?: number;
  /** A revert repeats the result of the converge that it undoes, if the site knows one. */
  previous?: Result;
}

/** What `converge` returns for a command: its result with report and journal, or what was seen last without one. */
export type Settled =
  | { kind: 'result'; commandId: string; result: Result; report: SiteReport; events: SiteEvent[] }
  | { kind: 'unsettled'; commandId: string; state: SiteState };

/** The commands for one queue in one activity: one site on the direct link. */
export interface Page {
  commands: { site: string; commandId: string; envelope: Envelope }[];
  /** Wishes for files, in a page of their own: there is nothing to observe. An agent that knows none refuses the page. */
  prefetches?: { site: string; envelope: PrefetchEnvelope }[];
}
