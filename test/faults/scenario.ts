/** One seed from its files to its verdict: the earlier rollout, the one that is judged, its faults, the return of the dark. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { TASK_QUEUE, type RolloutVerb } from '../../policies/model/rollout.js';
import type { Debt } from '../../policies/model/debt.js';
import { openRegistry } from '../../records/registry/open.js';
import type { Registry } from '../../records/registry/registry.js';
import type { Run, SeedFacts, Violation } from './facts.js';
import type { ConvergeFault } from './fleet.js';
import { judgeSeed } from './invariants.js';
import { act, verb, type Target } from './operators.js';
import { workerFaults } from './orders.js';
import { STRATEGY, writeSeed, type SeedProject } from './project.js';
import { isRunning, listRuns, readShards } from './runs.js';
import { killsWorker, VERSIONS, type Act, type SeedPlan, type SeedSite } from './seed.js';
import { SimulatedSite } from './site.js';
import type { Lane, Stand } from './stand.js';

export interface SeedOutcome {
  seed: number;
  injected: string[];
  violations: Violation[];
  facts: SeedFacts;
  /** What the harness did, in order. */
  story: string[];
}

const OLDER = { version: '0.9.0', digest: `sha256:${'0'.repeat(64)}` };
/** Generous: other work on the machine makes everything slow, and only what never comes is wrong. */
const CLOSED_WITHIN_MS = 300_000;
const QUIET_WITHIN_MS = 90_000;
/** By then every rollout has closed, and what was asked of one that had closed is refused. */
const ANSWERED_WITHIN_MS = 5_000;
/** A person who was just there looks again after this. */
const LOOKS_EVERY_MS = 2_000;

export class Scenario {
  private readonly sites = new Map<string, SimulatedSite>();
  private readonly story: string[] = [];
  private readonly injected: string[] = [];
  private readonly violations: Violation[] = [];
  private readonly began = Date.now();
  private readonly answers: SeedFacts['answers'] = [];
  private readonly returning: Promise<void>[] = [];
  private readonly acting: Promise<void>[] = [];
  private readonly target: Target;
  private registry!: Registry;
  private project!: SeedProject;
  private converges = 0;
  private sweeps = 0;
  private readonly convergeFaults: { at: number; how: ConvergeFault }[];

  constructor(
    private readonly stand: Stand,
    private readonly lane: Lane,
    private readonly plan: SeedPlan,
  ) {
    const { client, namespace } = lane;
    this.target = { client, namespace, stream: plan.stream, workflowId: `${plan.stream}-main` };
    this.convergeFaults = plan.faults.flatMap((fault) => (fault.on === 'converge' ? [fault] : []));
  }

  async run(): Promise<SeedOutcome> {
    try {
      await this.prepare();
      if (this.plan.earlier) await this.rollOutEarlier();
      await this.putFreeze();
      await this.start(this.target.workflowId, VERSIONS.main);
      for (const site of this.plan.sites) this.returnLater(site);
      await this.untilClosed(this.target.workflowId);
      await this.sweep();
      const debtsAtSeal = { at: Date.now(), debts: await this.debts() };
      await this.bringBackAll();
      await this.untilQuiet();
      if (this.isDisturbed()) await this.startAnother();
      await Promise.race([Promise.all(this.acting), sleep(ANSWERED_WITHIN_MS)]);
      const facts = await this.gather(debtsAtSeal);
      this.violations.push(...judgeSeed(facts));
      const { seed } = this.plan;
      return { seed, injected: this.injected, violations: this.violations, facts, story: this.story };
    } finally {
      await this.close();
    }
  }

  /** Of a seed that ended in the middle. */
  given(violation: Violation): SeedOutcome {
    const { seed, stream } = this.plan;
    const nothing = { at: 0, debts: [] };
    const none = { rollouts: [], shards: [], runs: [], answers: [], debtsAtSeal: nothing, debtsAtEnd: nothing };
    const sites = Object.fromEntries([...this.sites].map(([id, site]) => [id, [...site.books.log]]));
    const facts: SeedFacts = { seed, stream, before: '', sites, ...none };
    return { seed, injected: this.injected, violations: [...this.violations, violation], facts, story: this.story };
  }

  private async prepare(): Promise<void> {
    const { plan, stand, lane } = this;
    const directory = join(stand.directory, plan.stream);
    mkdirSync(directory);
    this.project = await writeSeed(directory, plan);
    this.registry = await openRegistry(this.project.registry);
    const before = { version: VERSIONS.before, digest: this.project.digests[VERSIONS.before] ?? '' };
    stand.prometheus.script(plan.stream, {
      gates: plan.gates,
      before: before.digest,
      answers: this.answers,
      logOf: (site) => this.sites.get(site)?.books.log,
    });
    for (const { id, script, dark } of plan.sites) {
      const identity = { site: id, stream: plan.stream, confirmed: [before, OLDER] };
      const site = new SimulatedSite(identity, script, stand.keys.publicPem);
      this.sites.set(id, site);
      lane.fleet.add(id, site, () => this.spoil());
      await this.registry.recordReport(site.books.report(), Date.now());
      if (!dark) lane.fleet.connectWhenNeeded(id);
      if (dark?.from === 'earlier') await lane.fleet.serve(`site-${id}`, 10);
    }
    lane.listeners.set(plan.stream, {
      onInjected: ({ what }) => this.note(what),
      onAsk: async ({ index }) => {
        const fault = plan.faults[index];
        if (fault?.on === 'rollout-task') await this.act(fault.at, fault.how);
      },
    });
    await lane.control.seed({
      stream: plan.stream,
      rollout: this.target.workflowId,
      projectPath: this.project.path,
      depot: this.project.depot,
      registry: this.project.registry,
      prometheusUrl: `${stand.prometheus.url}/${plan.stream}`,
      controlKeyPem: stand.keys.privatePem,
      faults: workerFaults(plan.faults),
    });
  }

  private say(words: string): void {
    this.story.push(`${((Date.now() - this.began) / 1_000).toFixed(2).padStart(7)} s  ${words}`);
  }

  /** Counted once it is known to have had an effect: a refused update, or a reset of nothing, is no fault. */
  private async act(at: number, how: Act): Promise<void> {
    const { words, took } = await act(this.target, how);
    this.say(`at task ${at}: ${words}`);
    const known = took.then((effect) => (effect ? this.note(words) : this.say(`in vain: ${words}`)));
    this.acting.push(known);
  }

  private note(what: string): void {
    this.injected.push(what);
    this.say(`FAULT ${what}`);
  }

  private spoil(): ConvergeFault | undefined {
    this.converges += 1;
    const index = this.convergeFaults.findIndex((fault) => fault.at <= this.converges);
    const [fault] = index < 0 ? [] : this.convergeFaults.splice(index, 1);
    if (fault) this.note(`${fault.how} converge ${this.converges}`);
    return fault?.how;
  }

  private async start(workflowId: string, version: string): Promise<void> {
    const request = { release: `${this.plan.stream}@${version}`, strategy: STRATEGY };
    await this.lane.client.workflow.start('rollout', { workflowId, taskQueue: TASK_QUEUE, args: [request] });
    this.say(`started ${workflowId} with ${version}`);
  }

  /** Rolled out, and taken back while one site is away: that one owes its revert when the next rollout comes. */
  private async rollOutEarlier(): Promise<void> {
    const workflowId = `${this.plan.stream}-earlier`;
    await this.start(workflowId, VERSIONS.earlier);
    const away = this.plan.sites.find((site) => site.dark?.from === 'earlier');
    const log = away ? this.sites.get(away.id)?.books.log : undefined;
    const confirmed = () => log?.some((entry) => entry.kind === 'result' && entry.result.result === 'confirmed');
    await this.until(4_000, async () => confirmed() === true);
    if (away) {
      await this.lane.fleet.leave(`site-${away.id}`);
      await this.lane.fleet.disconnect(away.id);
      this.say(`${away.id} goes dark`);
    }
    await verb({ ...this.target, workflowId }, 'revert', 'signal').catch(() => this.say('the earlier one had ended'));
    await this.untilClosed(workflowId);
  }

  private async putFreeze(): Promise<void> {
    const { freeze } = this.plan;
    if (!freeze) return;
    const now = Date.now();
    const words = { by: 'sweep', reason: 'the seed says so', at: now };
    await this.registry.putFreeze({ only: { id: freeze.sites }, until: now + freeze.forMs, ...words });
    this.say(`freeze of ${freeze.sites.join(', ')} for ${freeze.forMs} ms`);
  }

  private returnLater({ id, dark }: SeedSite): void {
    if (typeof dark?.backAfterMs !== 'number') return;
    this.returning.push(sleep(dark.backAfterMs).then(() => this.bringBack(id)));
  }

  private readonly back = new Set<string>();

  private async bringBack(id: string): Promise<void> {
    if (this.back.has(id)) return;
    this.back.add(id);
    await this.lane.fleet.serve(`site-${id}`, 10);
    this.lane.fleet.connect(id);
    this.say(`${id} is back`);
  }

  private async bringBackAll(): Promise<void> {
    await Promise.all(this.returning);
    for (const { id, dark } of this.plan.sites) if (dark) await this.bringBack(id);
    // The reconciler brings who was heard of since: on a busy machine a site that was there all along may be owed as well.
    for (const { site } of await this.debts()) {
      await this.lane.fleet.disconnect(site);
      this.lane.fleet.connect(site);
    }
  }

  private async until(withinMs: number, met: () => Promise<boolean>, everyMs = 200): Promise<boolean> {
    for (const end = Date.now() + withinMs; Date.now() < end; await sleep(everyMs)) if (await met()) return true;
    return met();
  }

  /** A person comes by whenever the rollout waits for one without an end, and decides; in the end somebody reverts. */
  private async untilClosed(workflowId: string): Promise<void> {
    const target = { ...this.target, workflowId };
    const decisions: RolloutVerb[] = [this.plan.closing, 'promote', 'abort'];
    let lookAt = 0;
    const closed = async () => {
      if (!(await isRunning(this.lane.client, workflowId))) return true;
      const status = await this.registry.findRollout(workflowId);
      const waits = status?.state === 'paused' || (status?.wait !== undefined && status.wait.until === undefined);
      if (!waits || Date.now() < lookAt) return false;
      lookAt = Date.now() + LOOKS_EVERY_MS;
      const decision = status?.state === 'paused' ? 'resume' : (decisions.shift() ?? 'revert');
      this.say(`a person finds ${status?.wait?.reason.code ?? status?.state}: ${decision}`);
      await verb(target, decision, 'update', decision === 'promote').catch(() => undefined);
      return false;
    };
    if (await this.until(CLOSED_WITHIN_MS, closed, 300)) return this.say(`${workflowId} has closed`);
    this.violate('every rollout comes to an end', `${workflowId} still ran after ${CLOSED_WITHIN_MS} ms`);
    await this.lane.client.workflow.getHandle(workflowId).terminate('the sweep gives it up');
  }

  private violate(invariant: string, detail: string): void {
    this.violations.push({ seed: this.plan.seed, invariant, detail });
  }

  private debts(): Promise<Debt[]> {
    return this.registry.debts({ stream: this.plan.stream });
  }

  /** The sweeper, as the schedule of a control worker starts it every minute; here whenever it is asked for. */
  private async sweep(): Promise<void> {
    const workflowId = `sweep/${this.plan.stream}-${(this.sweeps += 1)}`;
    await this.lane.client.workflow.start('sweep', { workflowId, taskQueue: TASK_QUEUE });
    await this.until(QUIET_WITHIN_MS, async () => !(await isRunning(this.lane.client, workflowId)));
  }

  private async openRuns(): Promise<Run[]> {
    const open = await listRuns(this.lane.client, this.plan.stream, ' AND ExecutionStatus = "Running"');
    return open.filter((run) => !['inbox', 'catchUp'].includes(run.type));
  }

  /** No revert is owed any more, what can be brought is brought, and nothing but reconciler and inboxes runs. */
  private async untilQuiet(): Promise<void> {
    const quiet = async () => {
      const owed = (await this.debts()).filter((debt) => debt.verb === 'revert');
      return owed.length === 0 && (await this.unreached()).length === 0 && (await this.openRuns()).length === 0;
    };
    await this.sweep();
    if (await this.until(15_000, quiet, 500)) return this.say('quiet');
    // A batch of the reconciler may wait for a person as any rollout does.
    for (const { workflowId } of (await this.openRuns()).filter((run) => run.type === 'rollout')) {
      this.say(`a person comes to ${workflowId}: abort`);
      await verb({ ...this.target, workflowId }, 'abort', 'signal').catch(() => undefined);
    }
    await this.sweep();
    if (await this.until(QUIET_WITHIN_MS, quiet, 500)) return this.say('quiet');
    const owed = (await this.debts()).map(
      (debt) => `${debt.verb} of ${debt.label} at ${debt.site}, owner ${debt.owner}`,
    );
    const [open, unreached] = [await this.openRuns(), await this.unreached()];
    const words = `open: ${open.map((run) => run.workflowId).join(', ')}; owed: ${owed.join(', ')}`;
    this.violate('the centre comes to rest once every site is back', `${words}; not brought: ${unreached.join(', ')}`);
  }

  /** Sites that should run another release than they do, where nothing in the seed stands against it. */
  private async unreached(): Promise<string[]> {
    const { sites, gates } = this.plan;
    const obstacles = sites.some((site) => site.script.fates[VERSIONS.main] !== 'confirm');
    if (obstacles || Object.values(gates).some((gate) => gate !== 'good')) return [];
    const desired = await this.registry.desired(this.plan.stream, [...this.sites.keys()]);
    return [...desired].flatMap(([id, { release }]) => {
      const live = this.sites.get(id)?.books.live;
      return live?.digest === release.digest ? [] : [`${id} of ${release.version}, runs ${live?.version}`];
    });
  }

  /** After what may leave a lock behind, and now and then after anything else. */
  private isDisturbed(): boolean {
    const { seed, faults } = this.plan;
    const ends = faults.some(({ how }) => typeof how === 'object' && ['reset', 'terminate'].includes(how.kind));
    return ends || faults.some(killsWorker) || seed % 4 === 0;
  }

  /** Nothing that a seed did may keep the next rollout of the stream from beginning. */
  private async startAnother(): Promise<void> {
    const workflowId = `${this.plan.stream}-after`;
    await this.start(workflowId, VERSIONS.after);
    const label = `${this.plan.stream}-${VERSIONS.after}-1`;
    const begun = async () => (await this.registry.findRollout(label)) !== undefined;
    const met = await this.until(
      QUIET_WITHIN_MS,
      async () => (await begun()) || !(await isRunning(this.lane.client, workflowId)),
    );
    if (!met || !(await begun())) {
      const handle = this.lane.client.workflow.getHandle(workflowId);
      const why = await endOf(handle.result());
      this.violate('a new rollout can begin', `${workflowId} did not: ${why}`);
      return;
    }
    await verb({ ...this.target, workflowId }, 'abort', 'signal').catch(() => undefined);
    await this.until(QUIET_WITHIN_MS, async () => !(await isRunning(this.lane.client, workflowId)), 300);
    await this.untilQuiet();
  }

  private async gather(debtsAtSeal: SeedFacts['debtsAtSeal']): Promise<SeedFacts> {
    const { plan, registry, lane } = this;
    const runs = await listRuns(lane.client, plan.stream);
    const statuses = await registry.rollouts({ stream: plan.stream });
    const rollouts: SeedFacts['rollouts'] = [];
    for (const status of statuses) {
      const { firstRunId, workflowId, planDigest } = status;
      const frozen = await registry.frozenPlan(planDigest);
      if (!frozen) continue;
      rollouts.push({
        ...{ firstRunId, workflowId, status, plan: frozen.plan },
        evidence: await registry.evidence(firstRunId),
        head: await registry.evidenceHead(firstRunId),
        rows: await registry.siteRows(firstRunId),
        commanded: await registry.commanded(firstRunId),
        samples: await registry.samples(firstRunId),
      });
    }
    return {
      seed: plan.seed,
      stream: plan.stream,
      before: this.project.digests[VERSIONS.before] ?? '',
      sites: Object.fromEntries([...this.sites].map(([id, site]) => [id, [...site.books.log]])),
      rollouts,
      shards: await readShards(lane.client, runs),
      runs,
      answers: this.answers,
      debtsAtSeal,
      debtsAtEnd: { at: Date.now(), debts: await this.debts() },
    };
  }

  private async close(): Promise<void> {
    const { lane, plan } = this;
    await Promise.allSettled(this.returning);
    lane.control.forget(plan.stream);
    lane.listeners.delete(plan.stream);
    for (const { id, dark } of plan.sites) if (dark) await lane.fleet.leave(`site-${id}`);
    await lane.fleet.remove(plan.sites.map((site) => site.id));
    await this.registry?.close();
  }
}

async function endOf(result: Promise<unknown>): Promise<string> {
  return result.then(
    (end) => JSON.stringify(end),
    (error: unknown) => String(error instanceof Error ? (error.cause ?? error) : error),
  );
}
