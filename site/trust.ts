/** The control keys that this site trusts: those its agent.yaml pins, or a later keyset that those have vouched for. */
import { claimedKeyset, openKeyset } from '../policies/signing/keyset.js';
import { readUnverified, type SignedEnvelope } from '../policies/signing/dsse.js';
import { digestOf } from '../policies/signing/jcs.js';
import type { Keyset } from '../policies/model/enrolment.js';
import { decideKeyset, type TrustedKeys } from '../policies/site/judge-keyset.js';
import type { SiteContext } from './context.js';
import type { Store } from './store/store.js';

/** A keyset as it is kept. `pinned` is the digest of what agent.yaml pinned when it was adopted. */
interface KeptKeys extends TrustedKeys {
  pinned: string;
}

/**
 * A person who changes `controlKeys` in agent.yaml after a keyset was adopted means the keys written there. The version
 * stays: an older keyset, in which a key that was given up still counts, is not adopted again.
 */
export function readTrust(store: Store, pinnedPems: string[]): TrustedKeys {
  const fact = store.fact('keyset');
  if (fact === undefined) return { version: 0, pems: pinnedPems };
  const { version, pems, pinned } = JSON.parse(fact) as KeptKeys;
  return { version, pems: pinned === digestOfPins(pinnedPems) ? pems : pinnedPems };
}

/** Inside a transaction. */
export function keepTrust(store: Store, { version, keys }: Keyset, pinnedPems: string[]): TrustedKeys {
  const pems = keys.map(({ pem }) => pem);
  const kept: KeptKeys = { version, pems, pinned: digestOfPins(pinnedPems) };
  store.putFact('keyset', JSON.stringify(kept));
  return { version, pems };
}

/**
 * Adopts the keyset that a command carries, before the command is verified: whoever missed a whole rotation still has a
 * key that vouched for the new ones. What the command itself claims is not looked at.
 */
export function learnFromCommand(context: SiteContext, envelope: Pick<SignedEnvelope, 'payload'>): void {
  const claims = readUnverified(envelope);
  if (typeof claims === 'object' && claims !== null && 'keyset' in claims) offerKeyset(context, claims.keyset);
}

/** Whoever brings it: it proves itself, or is refused. True if it was adopted, durably. */
export function offerKeyset(context: SiteContext, envelope: unknown): boolean {
  const offered = claimedKeyset(envelope);
  const { trust } = context;
  if (offered === undefined || offered.version < trust.version) return false;
  const decision = decideKeyset(trust, offered, openKeyset(envelope, trust.pems) !== undefined);
  if (decision.kind === 'refuse') context.log.warn({ site: context.site, ...decision.reason }, 'control keys refused');
  if (decision.kind !== 'adopt') return false;
  const keys = offered.keys.map(({ id }) => id);
  context.trust = context.store.transact(() => {
    const kept = keepTrust(context.store, offered, context.pinnedPems);
    context.store.append({ kind: 'keys-adopted', detail: { version: offered.version, keys, before: trust.version } });
    return kept;
  });
  context.step('keys-adopted');
  context.log.info({ site: context.site, version: offered.version, keys }, 'control keys adopted');
  return true;
}

/** The order in which keys are pinned means nothing. */
function digestOfPins(pems: string[]): string {
  return digestOf(pems.map((pem) => pem.trim()).sort());
}
