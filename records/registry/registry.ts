/**
 * What is known (design §4 "Central state"): the one interface to the registry, a part for each question. Every method is one
 * short transaction, idempotent by the keys it is given. Times in epoch ms.
 */
import type { KnownFiles } from './known-files.js';
import type { KnownRollouts } from './known-rollouts.js';
import type { KnownSites } from './known-sites.js';
import type { KnownDebts } from './known-debts.js';
import type { KnownIdentities } from './known-identities.js';

export type { DocumentKind, ImportedDocument, Block } from './known-files.js';
export type { FrozenRollout, Namespace, ChangingMember } from './known-rollouts.js';
export type {
  SiteRow,
  CommandedSite,
  CommandedRow,
  FreshEvent,
  Disbelieved,
  Recorded,
  SiteAnomaly,
  KnownReport,
  SiteTotal,
  Tally,
  HistoryFilter,
  HistoryEntry,
} from './known-sites.js';
export type { OpenConverge, UnsealedRollout } from './known-debts.js';
export { BLOCK_ALONE } from './known-files.js';

export interface Registry extends KnownFiles, KnownRollouts, KnownSites, KnownDebts, KnownIdentities {
  /** Takes the control worker's lock; throws WorldError naming the holder while another live process has it. */
  lockForWorker(owner: string): Promise<void>;
  close(): Promise<void>;
}
