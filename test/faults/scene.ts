/** A seed while it runs: its project and registry, its sites and their links, what was done to them, and what was found. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Context } from '../../cli/context.js';
import { TASK_QUEUE, type RolloutRequest } from '../../policies/model/rollout.js';
import type { Debt } from '../../policies/model/debt.js';
import { openRegistry } from '../../records/registry/open.js';
import type { Registry } from '../../records/registry/registry.js';
import type { SeedFacts, Violation } from './facts.js';
import type { ConvergeFault } from './fleet.js';
import type { Target } from './operators.js';
import { STRATEGY, writeSeed, type SeedProject } from './project.js';
import { mainWorkflowId, VERSIONS, type SeedPlan } from './seed.js';
import { SimulatedSite } from './site.js';
import type { Lane, Stand } from './stand.js';

const OLDER = { version: '0.9.0', digest: `sha256:${'0'.repeat(64)}` };

const OBEYED_WITHIN_MS = 60_000;

export class Scene {
  readonly sites = new Map<string, SimulatedSite>();
  readonly story: string[] = [];
  /** Kinds of the faults that had an effect. */
  readonly injected: string[] = [];
  readonly inVain: string[] = [];
  readonly violations: Violation[] = [];
  readonly answers: SeedFacts['answers'] = [];
  readonly replacements: SeedFacts['replacements'] = [];
  readonly rotations: SeedFacts['rotations'] = [];
  /** What goes on beside the rollout until it has done what it was to do. */
  readonly acting: Promise<void>[] = [];
  readonly target: Target;
  registry!: Registry;
  project!: SeedProject;
  /** Calls at its sites, so far. */
  converges = 0;
  /** The command line, as a person at the control worker's machine has it. */
  cli!: Context;
  private readonly began = Date.now();
  private readonly back = new Set<string>();
  private readonly convergeFaults: { at: number; how: ConvergeFault }[];

  constructor(
    readonly stand: Stand,
    readonly lane: Lane,
    readonly plan: SeedPlan,
  ) {
    const { client, namespace } = lane;
    const workflowId = mainWorkflowId(plan);
    const obeyed = (reason: string) => this.obeys(workflowId, reason);
    this.target = { client, namespace, stream: plan.stream, workflowId, obeyed };
    this.convergeFaults = plan.faults.flatMap((fault) => (fault.on === 'converge' ? [fault] : []));
  }

  async open(): Promise<void> {
    const { plan, stand, lane } = this;
    this.project = await writeSeed(join(stand.directory, plan.stream), plan, stand.keys);
    this.registry = await openRegistry(this.project.registry);
    this.cli = commandLine(this.project);
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
      await this.registry.recordReport(await site.report(), Date.now());
      if (!dark) lane.fleet.connectWhenNeeded(id);
      if (dark && dark.from !== 'start') await lane.fleet.serve(`site-${id}`, 10);
    }
  }

  say(words: string): void {
    this.story.push(`${((Date.now() - this.began) / 1_000).toFixed(2).padStart(7)} s  ${words}`);
  }

  note(kind: string, words: string): void {
    this.injected.push(kind);
    this.say(`FAULT ${words}`);
  }

  noteVain(kind: string, words: string): void {
    this.inVain.push(kind);
    this.say(`in vain: ${words}`);
  }

  violate(invariant: string, detail: string): void {
    this.violations.push({ seed: this.plan.seed, invariant, detail });
  }

  async start(workflowId: string, version: string, more: Partial<RolloutRequest> = {}): Promise<void> {
    const request = { release: `${this.plan.stream}@${version}`, strategy: STRATEGY, ...more };
    const { continueAfter } = this.plan;
    const args = continueAfter === undefined ? [request] : [request, null, continueAfter];
    await this.lane.client.workflow.start('rollout', { workflowId, taskQueue: TASK_QUEUE, args });
    this.say(`started ${workflowId} with ${version}`);
  }

  async goDark(id: string): Promise<void> {
    await this.lane.fleet.leave(`site-${id}`);
    await this.lane.fleet.disconnect(id);
    this.say(`${id} goes dark`);
  }

  async bringBack(id: string): Promise<void> {
    if (this.back.has(id)) return;
    this.back.add(id);
    await this.lane.fleet.serve(`site-${id}`, 10);
    this.lane.fleet.connect(id);
    this.say(`${id} is back`);
  }

  isDark(id: string): boolean {
    return !this.back.has(id) && this.plan.sites.some((site) => site.id === id && site.dark);
  }

  debts(): Promise<Debt[]> {
    return this.registry.debts({ stream: this.plan.stream });
  }

  /** `at` is after they were read: what was answered in between is no debt any more. */
  async debtsNow(): Promise<SeedFacts['debtsAtEnd']> {
    const debts = await this.debts();
    return { at: Date.now(), debts };
  }

  async until(withinMs: number, met: () => Promise<boolean>, everyMs = 200): Promise<boolean> {
    for (const end = Date.now() + withinMs; Date.now() < end; await sleep(everyMs)) if (await met()) return true;
    return met();
  }

  async close(): Promise<void> {
    const { lane, plan } = this;
    lane.control.forget(plan.stream);
    lane.listeners.delete(plan.stream);
    for (const { id, dark } of plan.sites) if (dark) await lane.fleet.leave(`site-${id}`);
    await lane.fleet.remove(plan.sites.map((site) => site.id));
    await this.cli?.close();
    await this.registry?.close();
  }

  async hasObeyed(workflowId: string, reason: string): Promise<boolean> {
    const status = await this.registry.findRollout(workflowId);
    const evidence = status ? await this.registry.evidence(status.firstRunId) : [];
    return evidence.some(({ kind, data }) => kind === 'verb' && data['reason'] === reason);
  }

  /** Asked until the rollout is over: what was delivered may be taken in much later, by a run that a reset has begun. */
  private async obeys(workflowId: string, reason: string): Promise<boolean> {
    for (const end = Date.now() + OBEYED_WITHIN_MS; ; await sleep(250)) {
      const status = await this.registry.findRollout(workflowId);
      if (await this.hasObeyed(workflowId, reason)) return true;
      if (status?.state === 'sealed' || Date.now() > end) return false;
    }
  }

  private spoil(): ConvergeFault | undefined {
    this.converges += 1;
    const index = this.convergeFaults.findIndex((fault) => fault.at <= this.converges);
    const [fault] = index < 0 ? [] : this.convergeFaults.splice(index, 1);
    if (fault) this.note(`${fault.how} converge`, `${fault.how} converge ${this.converges}`);
    return fault?.how;
  }
}

function commandLine({ path, registry }: SeedProject): Context {
  const io = {
    ...{ cwd: '/', env: {}, out() {}, err() {}, outTerminal: false, errTerminal: false, columns: 100 },
    ...{ now: Date.now, interrupted: new AbortController().signal },
  };
  return new Context(io, { project: path, registry, json: true });
}
