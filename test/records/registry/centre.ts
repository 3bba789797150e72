/** The calls of a control worker, short enough that a test reads as the life of a rollout. */
import { createHash } from 'node:crypto';
import type { ResultWord, SiteState, Verb } from '../../../policies/model/command.js';
import type { FrozenPlan } from '../../../policies/model/plan.js';
import type { SiteEvent } from '../../../policies/model/report.js';
import type { RolloutOutcome, SiteOutcome } from '../../../policies/model/rollout.js';
import type { Selector } from '../../../policies/model/strategy.js';
import type { Result } from '../../../policies/model/command.js';
import { digestOf } from '../../../policies/signing/jcs.js';
import type { FrozenRollout, Registry } from '../../../records/registry/registry.js';
import { commandId, frozenPlan, key, report, result, settled, status, STREAM } from './facts.js';

export const PLACE_OF_ALL = { stage: 'all', wave: 0 };

export function releaseDigest(version: string): string {
  return `sha256:${createHash('sha256').update(version).digest('hex')}`;
}

/** One stage `all` with one wave of the sites. */
export function planFor(version: string, sites: string[]): FrozenPlan {
  const { digest: _, ...plan } = frozenPlan(version).plan;
  const stage = {
    name: 'all',
    waves: [{ sites: sites.map((id) => ({ id, varsDigest: releaseDigest(id) })) }],
    gate: { name: 'none' as const, because: 'a test' },
    soak: 0,
    concurrency: 10,
    settleWithin: 1_000,
    budget: { failed: { kind: 'count' as const, value: 0 }, owed: { kind: 'count' as const, value: 0 } },
  };
  const whole = { ...plan, release: { ...plan.release, digest: releaseDigest(version) }, stages: [stage] };
  return { plan: { ...whole, digest: digestOf(whole) } as unknown as FrozenPlan['plan'], sites: {} };
}

/** A rollout of `version` to `sites`; `run` is its first run id. */
export class Rollout {
  #calls = 0;
  private constructor(
    readonly registry: Registry,
    readonly run: string,
    readonly version: string,
    readonly sites: string[],
    readonly frozen: FrozenRollout,
  ) {}

  static async begin(
    registry: Registry,
    run: string,
    version: string,
    sites: string[],
    belongs: { of?: string; only?: Selector } = {},
  ): Promise<Rollout> {
    const named = { firstRunId: run, workflowId: `w-${run}`, ...belongs };
    const frozen = await registry.freeze(planFor(version, sites), named, 1_000);
    const rollout = new Rollout(registry, run, version, sites, frozen);
    await registry.putStatus(rollout.status());
    return rollout;
  }

  get label(): string {
    return this.frozen.label;
  }

  status(changes: Parameters<typeof status>[1] = {}) {
    const { label, generation, planDigest } = this.frozen;
    const release = { version: this.version, digest: releaseDigest(this.version) };
    return status(this.run, { workflowId: `w-${this.run}`, label, generation, planDigest, release, ...changes });
  }

  key() {
    this.#calls += 1;
    return key(this.run, String(this.#calls));
  }

  id(site: string, verb: Verb = 'converge', tries = 1): string {
    return commandId(this.run, site, verb, tries);
  }

  async command(site: string, verb: Verb = 'converge', tries = 1, now = 2_000): Promise<void> {
    const row = {
      site,
      ...PLACE_OF_ALL,
      verb,
      commandId: this.id(site, verb, tries),
      carrier: `w-${this.run}/${verb}`,
    };
    await this.registry.recordCommanded(this.run, [verb === 'converge' ? { ...row, switchBy: 9_000 } : row], now);
  }

  async dispose(
    site: string,
    outcome: 'owed' | 'deferred' | 'untouched',
    changes: Partial<SiteOutcome> & { verb?: Verb; tries?: number; now?: number } = {},
  ): Promise<void> {
    const { verb = 'converge', tries = 1, now = 3_000, ...more } = changes;
    const told = { site, outcome, ...PLACE_OF_ALL, ...more };
    await this.registry.recordDispositions(
      this.key(),
      [{ site, commandId: this.id(site, verb, tries), outcome: told }],
      now,
    );
  }

  answer(site: string, word: ResultWord, verb: Verb = 'converge', changes: Partial<Result> = {}): Result {
    const { tries = 1, ...more } = { tries: changes.try ?? 1, ...changes };
    const generation = this.frozen.generation + (verb === 'revert' ? 1 : 0);
    return result(this.id(site, verb, tries), word, { generation, ...more });
  }

  async settle(answered: Result, events: SiteEvent[] = [], now = 4_000): Promise<void> {
    await this.registry.recordSettled(this.key(), PLACE_OF_ALL, [settled(answered, events)], now);
  }

  async unsettled(site: string, state: SiteState, verb: Verb = 'converge'): Promise<void> {
    const commandId = this.id(site, verb);
    await this.registry.recordSettled(this.key(), PLACE_OF_ALL, [{ kind: 'unsettled', commandId, state }], 4_000);
  }

  async seal(outcome: RolloutOutcome, now = 5_000) {
    await this.registry.putStatus(this.status({ state: 'sealed', outcome, updatedAt: now }));
    return this.registry.handOver(this.run, outcome, now);
  }
}

/** A report on the stream of these tests. */
export function reported(site: string, generation: number, changes: { sequence?: number; version?: string } = {}) {
  const { sequence = 1, version } = changes;
  const live = version === undefined ? {} : { live: { version, digest: releaseDigest(version) } };
  const stream = { state: 'confirmed' as const, generation, try: 1, checks: [], ...live };
  return report(site, { sequence, streams: { [STREAM]: stream } });
}
