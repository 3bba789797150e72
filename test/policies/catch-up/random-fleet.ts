/**
 * A model of a fleet that is away and comes back, quarantines, is frozen and blocked, owes undos, and of rollouts that
 * come between: driven by the reconciler's policies, and held against its rules at every step.
 */
import { filled, fullBucket, taken } from '../../../policies/catch-up/bucket.js';
import type { ReleaseFacts } from '../../../policies/catch-up/hindered.js';
import { nextCatchUp, type CatchUpMemory } from '../../../policies/catch-up/next.js';
import { judgeFleet, type FleetFacts } from '../../../policies/catch-up/owed.js';
import type { Commanded } from '../../../policies/catch-up/owed-site.js';
import { CATCH_UP_PACE, type CatchUpPace } from '../../../policies/catch-up/pace.js';
import type { Debt, Freeze } from '../../../policies/model/debt.js';
import type { SiteReport } from '../../../policies/model/report.js';
import { desiredOf, digestOf, release, reported, reportOf, revertOwed, siteOf, STREAM } from './fleet-facts.js';

const MINUTE = 60_000;
const STEPS = 240;
/** Nothing new goes wrong after this step, so that the end can be judged. */
const CALM = 80;

export interface RanFleet {
  violations: string[];
  /** Sites with nothing in their way that do not run what they should. */
  undone: string[];
  met: Set<string>;
}

interface ModelSite {
  id: string;
  live: string | undefined;
  generation: number;
  heardAt?: number;
  dark: boolean;
  quarantined: boolean;
  /** Answers `rejected: ALREADY_SICK` so often before it gets well. */
  sick: number;
}

class Model {
  now = 10 * MINUTE;
  readonly sites: ModelSite[];
  readonly commanded = new Map<string, Commanded[]>();
  debts: Debt[] = [];
  freezes: Freeze[] = [];
  blocked = false;
  running = false;
  memory: CatchUpMemory = { refused: {}, asked: [] };
  readonly result: RanFleet = { violations: [], undone: [], met: new Set() };
  readonly pace: CatchUpPace;

  constructor(readonly random: () => number) {
    this.pace = {
      ...CATCH_UP_PACE,
      burst: 1 + this.below(6),
      perMinute: 1 + this.below(30),
      backOffMost: 10 * MINUTE,
      tries: 50,
    };
    this.sites = Array.from({ length: 5 + this.below(25) }, (_, index) => this.site(`s${index}`));
    for (const { id } of this.sites.filter(() => this.chance(0.1)))
      this.debts.push(revertOwed(id, `${STREAM}-1.9.0-1`));
  }

  below(limit: number): number {
    return Math.floor(this.random() * limit);
  }

  chance(share: number): boolean {
    return this.random() < share;
  }

  private site(id: string): ModelSite {
    const live = this.chance(0.2) ? '2.0.0' : this.chance(0.1) ? undefined : '1.0.0';
    const sick = this.chance(0.15) ? 1 + this.below(3) : 0;
    return { id, live, generation: 9, dark: this.chance(0.5), quarantined: this.chance(0.1), sick, heardAt: this.now };
  }

  facts(): FleetFacts {
    const releaseFacts: ReleaseFacts = {
      allowances: [],
      planned: true,
      ...(this.blocked && { blocked: { rollout: 'x', at: 1 } }),
    };
    const reports = new Map<string, { report: SiteReport; receivedAt: number }>();
    for (const site of this.sites) {
      const held = { stream: STREAM, ...release('2.0.0'), code: 'CHECK_FAILED', at: 1 };
      const report = reportOf(site.id, reported(site.live, site.generation), {
        quarantined: site.quarantined ? [held] : [],
      });
      if (site.heardAt !== undefined) reports.set(site.id, { report, receivedAt: site.heardAt });
    }
    return {
      stream: STREAM,
      now: this.now,
      pace: this.pace,
      sites: this.sites.map(({ id }) => siteOf(id)),
      desired: new Map(this.sites.map(({ id }) => [id, desiredOf(id, '2.0.0', 11)])),
      reports,
      commanded: this.commanded,
      debts: this.debts,
      freezes: this.freezes,
      holds: [],
      releases: new Map([[digestOf('2.0.0'), releaseFacts]]),
    };
  }

  /** The world moves: sites come and go, people freeze and block, rollouts begin and end. */
  disturb(step: number): void {
    this.now += 1 + this.below(MINUTE);
    const calm = step > CALM;
    for (const site of this.sites) {
      if (this.chance(calm ? 0.3 : 0.1)) site.dark = !calm && !site.dark;
      if (!site.dark && this.chance(0.5)) site.heardAt = this.now;
    }
    this.running = !calm && this.chance(0.15);
    this.blocked = !calm && (this.blocked ? this.chance(0.8) : this.chance(0.05));
    if (!calm && this.chance(0.1)) this.freezes.push(this.freeze());
    if (calm) this.debts = this.debts.filter(({ site }) => this.find(site).dark);
  }

  private freeze(): Freeze {
    const only = this.chance(0.5) ? { id: this.sites[this.below(this.sites.length)]?.id ?? '' } : undefined;
    return {
      id: 'f',
      until: this.now + this.below(20 * MINUTE),
      by: 'kim',
      reason: 'storm',
      at: this.now,
      ...(only && { only }),
    };
  }

  find(id: string): ModelSite {
    const site = this.sites.find((one) => one.id === id);
    if (!site) throw new Error(`no site ${id}`);
    return site;
  }

  step(): void {
    const facts = this.facts();
    const { owed } = judgeFleet(facts);
    for (const { hindered } of owed) if (hindered) this.result.met.add(hindered.code);
    const targets = { 'run-2.0.0': { release: `${STREAM}@2.0.0`, strategy: 'careful' } };
    const running = this.running ? { running: { label: 'r', workflowId: 'w', isCatchUp: false } } : {};
    const rest = { lost: [], targets, total: owed.length, hindered: {}, ...running };
    const next = nextCatchUp({ stream: STREAM, pace: this.pace, owed, ...rest }, this.memory, this.now, this.random());
    if (next.kind === 'wait' && next.why.code === 'STREAM_LOCKED') this.result.met.add('running');
    if (next.kind === 'wait' && next.why.detail.includes('a minute')) this.result.met.add('throttled');
    if (next.kind !== 'batch') return;
    this.result.met.add('batch');
    this.judge(next.request.catchUp.sites, facts);
    this.carryOut(next.request.catchUp.sites);
  }

  private judge(batch: string[], facts: FleetFacts): void {
    const bucket = filled(this.memory.bucket ?? fullBucket(this.pace, this.now), this.pace, this.now);
    const violate = (what: string) => this.result.violations.push(`${what}: ${batch.join(', ')}`);
    if (batch.length === 0) violate('an empty batch');
    if (batch.length > bucket.tokens) violate('more than the bucket gives');
    if (new Set(batch).size !== batch.length) violate('a site twice');
    if (this.running) violate('beside a rollout that owns the sites');
    if (this.blocked) violate('a blocked release');
    for (const id of batch) {
      const site = this.find(id);
      const last = this.commanded.get(id)?.at(-1);
      if (site.live === '2.0.0') violate('a site that has it');
      if (site.quarantined) violate('a quarantined site');
      if (this.debts.some((debt) => debt.site === id)) violate('before an owed revert');
      if (last && (site.heardAt ?? 0) <= last.scheduledAt) violate('not heard of since it was tried');
      const frozen = facts.freezes.some(
        ({ until, only }) => until > this.now && (only === undefined || only.id === id),
      );
      if (frozen) violate('a frozen site');
    }
  }

  private carryOut(batch: string[]): void {
    this.memory.bucket = taken(
      this.memory.bucket ?? fullBucket(this.pace, this.now),
      this.pace,
      batch.length,
      this.now,
    );
    for (const id of batch) {
      const site = this.find(id);
      const command = { site: id, firstRunId: 'b', version: '2.0.0', verb: 'converge' as const, generation: 13 };
      const its = { ...command, scheduledAt: this.now, ...this.answer(site) };
      this.commanded.set(id, [...(this.commanded.get(id) ?? []), its]);
    }
  }

  private answer(site: ModelSite): Pick<Commanded, 'outcome'> {
    const at = { site: site.id, stage: 'all', wave: 0 };
    if (site.dark) return { outcome: { ...at, outcome: 'owed', state: null } };
    site.generation = 13;
    site.heardAt = this.now + 1;
    if (site.sick > 0) {
      site.sick -= 1;
      return { outcome: { ...at, outcome: 'rejected', reason: { code: 'ALREADY_SICK', detail: '' } } };
    }
    site.live = '2.0.0';
    return { outcome: { ...at, outcome: 'confirmed' } };
  }
}

export function runFleet(seed: number): RanFleet {
  const model = new Model(randomFrom(seed));
  for (let step = 0; step < STEPS; step += 1) {
    model.disturb(step);
    model.step();
  }
  model.result.undone = model.sites.filter((site) => site.live !== '2.0.0' && !site.quarantined).map(({ id }) => id);
  return model.result;
}

/** mulberry32 */
function randomFrom(seed: number): () => number {
  let state = (seed + 1) * 0x9e3779b9;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
