/** What the reconciler of a stream does next (design §4.7): owed reverts first, then the sites that have waited longest. */
import type { RolloutRequest } from '../model/rollout.js';
import type { Reason } from '../model/verdict.js';
import { readyAt, type Bucket } from './bucket.js';
import type { CatchUpFacts, LostCarrier } from './facts.js';
import { dueCarriers, heldCarriers, type CarrierMemory } from './carrier-pace.js';
import type { OwedSite } from './owed-site.js';

/** What the reconciler itself remembers. Plain data: it survives continue-as-new. */
export interface CatchUpMemory {
  /** Full at first. */
  bucket?: Bucket;
  /** By first run id of what was to be brought: a batch of it was refused, and is tried again then. */
  refused: Record<string, { times: number; until: number; reason: Reason }>;
  /** Sites that a person wants tried again, whatever the back-off says. */
  asked: string[];
  /** By workflow id: carriers that were started again. */
  carriers?: CarrierMemory;
}

export type CatchUpDecision =
  | { kind: 'deliver'; carriers: LostCarrier[] }
  /** `after`: ms to wait before it begins. */
  | { kind: 'batch'; request: RolloutRequest & Required<Pick<RolloutRequest, 'catchUp'>>; after: number }
  | { kind: 'wait'; until: number; why: Reason }
  | { kind: 'idle' };

/** More than this never goes into one batch, whatever the pace: the request has to be read by people. */
export const BATCH_MOST = 500;
/** The end of a rollout wakes the reconciler; a terminated one is found by the sweeper. */
const ASK_AGAIN = 60_000;

interface Wait {
  until: number;
  why: Reason;
}

/** `random`: from 0 to below 1. */
export function nextCatchUp(facts: CatchUpFacts, memory: CatchUpMemory, now: number, random: number): CatchUpDecision {
  const carriers = dueCarriers(facts.lost, memory.carriers, now);
  if (carriers.length > 0) return { kind: 'deliver', carriers };
  const held = heldCarriers(facts.lost, memory.carriers, now);
  if (facts.running) {
    const detail = `${facts.running.label} is running; it owns the sites of its plan`;
    const until = held.reduce((soonest, one) => Math.min(soonest, one.until), now + ASK_AGAIN);
    return { kind: 'wait', until, why: { code: 'STREAM_LOCKED', detail } };
  }
  const ready = facts.owed.filter((site) => mayBeTried(site, facts, memory, now)).sort(byPatience);
  const [first] = ready;
  if (!first) return waitOrEnd(facts, memory, held, now);
  const lane = ready.filter(({ of }) => of === first.of);
  const { burst } = facts.pace;
  const size = Math.min(lane.length, burst, BATCH_MOST);
  const due = readyAt(memory.bucket ?? full(facts, now), facts.pace, size, now);
  if (due > now) {
    const detail = `${lane.length} sites are back; ${facts.pace.perMinute} a minute are brought up to date`;
    const until = held.reduce((soonest, one) => Math.min(soonest, one.until), due);
    return { kind: 'wait', until, why: { code: 'CATCH_UP_WAITS', detail } };
  }
  return batch(facts, first.of, lane.slice(0, size), Math.floor(facts.pace.jitter * random));
}

function full(facts: CatchUpFacts, now: number): Bucket {
  return { tokens: facts.pace.burst, at: now };
}

const ASKABLE = new Set(['CATCH_UP_WAITS', 'CATCH_UP_FAILED', 'CATCH_UP_STOPPED']);

/** What a person who asks for the site outweighs: patience, and what a person had stopped; never what the site says. */
export function mayBeAsked({ hindered }: Pick<OwedSite, 'hindered'>): boolean {
  return hindered !== undefined && ASKABLE.has(hindered.code);
}

function mayBeTried(site: OwedSite, facts: CatchUpFacts, memory: CatchUpMemory, now: number): boolean {
  const refused = memory.refused[site.of];
  if (!facts.targets[site.of] || (refused && refused.until > now)) return false;
  if (!site.hindered) return true;
  return mayBeAsked(site) && memory.asked.includes(site.site);
}

/** Who has waited longest comes first, so that no site waits for ever; by id, so that the order is one. */
function byPatience(a: OwedSite, b: OwedSite): number {
  return (a.heardAt ?? 0) - (b.heardAt ?? 0) || (a.site < b.site ? -1 : 1);
}

function batch(facts: CatchUpFacts, of: string, sites: OwedSite[], after: number): CatchUpDecision {
  const { release = '', strategy = '' } = facts.targets[of] ?? {};
  const ids = sites.map(({ site }) => site).sort();
  const reason = `${ids.length} sites differ from what they should run`;
  return { kind: 'batch', request: { release, strategy, by: 'catchUp', reason, catchUp: { of, sites: ids } }, after };
}

/** Nothing can be done now. It ends only with a full bucket: the next one begins with a full one. */
function waitOrEnd(facts: CatchUpFacts, memory: CatchUpMemory, held: Wait[], now: number): CatchUpDecision {
  const waits = [...held];
  for (const { site, hindered } of facts.owed) {
    if (hindered?.until === undefined) continue;
    waits.push({ until: hindered.until, why: { code: hindered.code, detail: `${site}: ${hindered.detail}` } });
  }
  for (const { until, reason } of Object.values(memory.refused)) if (until > now) waits.push({ until, why: reason });
  const due = memory.bucket ? readyAt(memory.bucket, facts.pace, facts.pace.burst, now) : now;
  if (due > now)
    waits.push({ until: due, why: { code: 'CATCH_UP_WAITS', detail: 'nothing is owed that could be brought now' } });
  const [soonest] = waits.filter(({ until }) => until > now).sort((a, b) => a.until - b.until);
  return soonest ? { kind: 'wait', ...soonest } : { kind: 'idle' };
}
