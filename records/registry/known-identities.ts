/** Who sites are, and what they trust (docs/decisions/0003). */
import type { Command } from '../../policies/model/command.js';
import type { ControlKeys, IdentityChange, SiteIdentity } from '../../policies/model/enrolment.js';
import type { TokenRequest } from './enrolment.js';
import type { KeyStep } from './keys.js';

export interface KnownIdentities {
  /** Who sites are (docs/decisions/0003): those ever enrolled, replaced, retired or doubted; every other is in epoch 1. */
  identities(sites?: string[]): Promise<Map<string, SiteIdentity>>;
  retiredSites(): Promise<Set<string>>;
  /** Ids of the sites of every fleet that was ever imported. */
  siteIdsEver(): Promise<Set<string>>;
  /** What was done to a site's identity, newest first. */
  identityChanges(site: string, limit: number): Promise<IdentityChange[]>;
  /** A token for the site's epoch. Throws MistakeError SITE_RETIRED, ENROLMENT_USED. */
  enrol(request: TokenRequest, now: number): Promise<SiteIdentity>;
  /** The next epoch, with a token for it. Throws MistakeError SITE_RETIRED. */
  replace(request: TokenRequest, now: number): Promise<SiteIdentity>;
  /** For good: its debts stand no more, its reports are refused. */
  retire(
    request: { site: string; by: string; reason: string },
    now: number,
  ): Promise<{ changed: boolean; cancelled: number; identity: SiteIdentity }>;
  /** As `ackedThrough`, with the hash of that event; a site of which nothing is recorded is absent. */
  acknowledged(sites: string[]): Promise<Map<string, Command['ackedThrough']>>;
  /** The latest signed keyset and the rotation under way. */
  controlKeys(): Promise<ControlKeys>;
  /** One step of a rotation. Throws MistakeError ROTATION_STEP if another came first. */
  stepKeys(step: KeyStep, now: number): Promise<void>;
  /** The public half (PEM) that the control worker signs with: with it, tokens prove themselves to an empty registry. */
  knowControlKey(publicPem: string, by: string, now: number): Promise<void>;
}
