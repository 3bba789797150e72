/** One seed from its files to its verdict: the earlier rollout, the one that is judged, its faults, the return of the dark. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { RolloutVerb } from '../../policies/model/rollout.js';
import type { SeedFacts, Violation } from './facts.js';
import { empty, gather } from './gather.js';
import { judgeSeed } from './invariants.js';
import { actAtLength, isLong, nextWorkflowId } from './long-acts.js';
import { act, verb } from './operators.js';
import { workerFaults } from './orders.js';
import { bringBackAll, QUIET_WITHIN_MS, sweepOnce, untilQuiet } from './rest.js';
import { Closing } from './runs.js';
import { Scene } from './scene.js';
import { VERSIONS, type SeedPlan, type SeedSite } from './seed.js';
import { kindOf, killsWorker, type Act } from './seed-faults.js';
import type { Lane, Stand } from './stand.js';

export interface SeedOutcome {
  seed: number;
  plan: SeedPlan;
  /** Kinds of the faults that had an effect. */
  injected: string[];
  /** Kinds of those that came and had none: a verb that was refused or ignored, a reset of nothing. */
  inVain: string[];
  /** Calls at its sites. */
  converges: number;
  violations: Violation[];
  facts: SeedFacts;
  /** What the harness did, in order. */
  story: string[];
}

/** Generous: other work on the machine makes everything slow, and only what never comes is wrong. */
const CLOSED_WITHIN_MS = 300_000;
/** By then every rollout has closed, and what was asked of one that had closed is refused. */
const ANSWERED_WITHIN_MS = 5_000;
const REVIVED_WITHIN_MS = 2_000;
/** A person who was just there looks again after this. */
const LOOKS_EVERY_MS = 2_000;

export class Scenario {
  private readonly scene: Scene;
  private readonly returning: Promise<void>[] = [];
  private over = false;

  constructor(stand: Stand, lane: Lane, plan: SeedPlan) {
    this.scene = new Scene(stand, lane, plan);
  }

  async run(): Promise<SeedOutcome> {
    const { scene } = this;
    try {
      await this.prepare();
      if (scene.plan.earlier) await this.rollOutEarlier();
      await this.putFreeze();
      await scene.start(scene.target.workflowId, VERSIONS.main);
      for (const site of scene.plan.sites) {
        this.leaveLater(site);
        this.returnLater(site);
      }
      await this.untilClosed(scene.target.workflowId);
      if (scene.plan.faults.some(({ how }) => kindOf(how) === 'supersede'))
        await this.untilClosed(nextWorkflowId(scene));
      this.over = true;
      await sweepOnce(scene);
      const debtsAtSeal = await scene.debtsNow();
      await Promise.all(this.returning);
      await Promise.race([Promise.all(scene.acting), sleep(ANSWERED_WITHIN_MS)]);
      await bringBackAll(scene);
      await untilQuiet(scene);
      const own = await this.judge(debtsAtSeal);
      const facts = this.isDisturbed() ? await this.judgeAnother(debtsAtSeal) : own;
      for (const run of facts.runs.filter((one) => one.continued)) {
        scene.note(`continue-as-new ${run.type}`, `continue-as-new of ${run.workflowId}`);
      }
      return this.outcome(facts);
    } finally {
      await Promise.allSettled(this.returning);
      await scene.close();
    }
  }

  /** The seed's own rollout is judged before another brings its sites elsewhere. */
  private async judge(debtsAtSeal: SeedFacts['debtsAtSeal']): Promise<SeedFacts> {
    const { scene } = this;
    const facts = await gather(scene, debtsAtSeal);
    const known = new Set(scene.violations.map(wordsOf));
    scene.violations.push(...judgeSeed(facts).filter((violation) => !known.has(wordsOf(violation))));
    return facts;
  }

  private async judgeAnother(debtsAtSeal: SeedFacts['debtsAtSeal']): Promise<SeedFacts> {
    await this.startAnother();
    await Promise.race([Promise.all(this.scene.acting), sleep(ANSWERED_WITHIN_MS)]);
    return this.judge(debtsAtSeal);
  }

  /** Of a seed that ended in the middle. */
  given(violation: Violation): SeedOutcome {
    this.scene.violations.push(violation);
    return this.outcome(empty(this.scene));
  }

  private outcome(facts: SeedFacts): SeedOutcome {
    const { plan, injected, inVain, violations, story, converges } = this.scene;
    return { seed: plan.seed, plan, injected, inVain, violations, facts, story, converges };
  }

  private async prepare(): Promise<void> {
    const { scene } = this;
    const { plan, stand, lane } = scene;
    await scene.open();
    lane.listeners.set(plan.stream, {
      onInjected: ({ index, what }) => {
        const fault = plan.faults[index];
        if (fault) scene.note(`${kindOf(fault.how)} ${fault.on}`, what);
      },
      onAsk: async ({ index }) => {
        const fault = plan.faults[index];
        if (fault?.on === 'rollout-task') await this.act(fault.at, fault.how);
      },
    });
    const { path, depot, registry, controlKey } = scene.project;
    await lane.control.seed({
      ...{ stream: plan.stream, rollout: scene.target.workflowId, projectPath: path, depot, registry },
      prometheusUrl: `${stand.prometheus.url}/${plan.stream}`,
      ...{ controlKeyPem: stand.keys.privatePem, controlKeyPath: controlKey },
      faults: workerFaults(plan.faults),
    });
  }

  /** Counted once it is known to have had an effect: a verb that was not obeyed, or a reset of nothing, is no fault. */
  private async act(at: number, how: Act): Promise<void> {
    const { scene } = this;
    const { words, took } = isLong(how) ? await actAtLength(scene, how) : await act(scene.target, how);
    scene.say(`at task ${at}: ${words}`);
    const kind = how.kind === 'verb' ? how.verb : kindOf(how);
    const known = took.then(
      (effect) => (effect ? scene.note(kind, words) : scene.noteVain(kind, words)),
      (error: unknown) => scene.violate('what a person does is done or refused', `${words}: ${String(error)}`),
    );
    scene.acting.push(known);
  }

  /** Rolled out, and taken back while one site is away: that one owes its revert when the next rollout comes. */
  private async rollOutEarlier(): Promise<void> {
    const { scene } = this;
    const workflowId = `${scene.plan.stream}-earlier`;
    await scene.start(workflowId, VERSIONS.earlier);
    const away = scene.plan.sites.find((site) => site.dark?.from === 'earlier');
    const log = away ? scene.sites.get(away.id)?.books.log : undefined;
    const confirmed = () => log?.some((entry) => entry.kind === 'result' && entry.result.result === 'confirmed');
    await scene.until(4_000, async () => confirmed() === true);
    if (away) await scene.goDark(away.id);
    await verb({ ...scene.target, workflowId }, 'revert', 'signal').catch(() => scene.say('the earlier one had ended'));
    await this.untilClosed(workflowId);
  }

  private async putFreeze(): Promise<void> {
    const { scene } = this;
    const { freeze } = scene.plan;
    if (!freeze) return;
    const now = Date.now();
    const words = { by: 'sweep', reason: 'the seed says so', at: now };
    await scene.registry.putFreeze({ only: { id: freeze.sites }, until: now + freeze.forMs, ...words });
    scene.say(`freeze of ${freeze.sites.join(', ')} for ${freeze.forMs} ms`);
  }

  /** Its link falls once the centre has heard that it confirmed, or has no more to say. */
  private leaveLater({ id, dark }: SeedSite): void {
    if (dark?.from !== 'confirmed') return;
    const { scene } = this;
    const { registry, target } = scene;
    const heard = async () => {
      const status = await registry.findRollout(target.workflowId);
      const rows = status ? await registry.siteRows(status.firstRunId) : [];
      return this.over || rows.some(({ site, outcome }) => site === id && outcome === 'confirmed');
    };
    this.returning.push(scene.until(CLOSED_WITHIN_MS, heard).then(() => scene.goDark(id)));
  }

  private returnLater({ id, dark }: SeedSite): void {
    if (typeof dark?.backAfterMs !== 'number') return;
    this.returning.push(sleep(dark.backAfterMs).then(() => this.scene.bringBack(id)));
  }

  /** A person comes by whenever the rollout waits for one without an end, and decides; in the end somebody reverts. */
  private async untilClosed(workflowId: string): Promise<void> {
    const { scene } = this;
    const { registry, lane, plan } = scene;
    const target = { ...scene.target, workflowId };
    const decisions: RolloutVerb[] = [plan.closing, 'promote', 'abort'];
    // Whoever asks for a retry comes before who decides.
    const patience = plan.faults.some(({ how }) => kindOf(how) === 'retry') ? LOOKS_EVERY_MS : 0;
    const revived = plan.faults.some(({ how }) => kindOf(how) === 'revive');
    const closing = new Closing(lane.client, workflowId, revived ? REVIVED_WITHIN_MS : 0);
    let lookAt = 0;
    const closed = async () => {
      if (closing.isOver()) return true;
      // Its shards are gone: what it waits for would never come, and the sweeper alone tells it that it was reset.
      if (revived) await sweepOnce(scene);
      const status = await registry.findRollout(workflowId);
      const waits = status?.state === 'paused' || (status?.wait !== undefined && status.wait.until === undefined);
      if (!waits || Date.now() < lookAt || Date.now() - (status.wait?.since ?? 0) < patience) return false;
      lookAt = Date.now() + LOOKS_EVERY_MS;
      const decision = status?.state === 'paused' ? 'resume' : (decisions.shift() ?? 'revert');
      scene.say(`a person finds ${status?.wait?.reason.code ?? status?.state}: ${decision}`);
      await verb(target, decision, 'update', { override: decision === 'promote' }).catch(() => undefined);
      return false;
    };
    if (await scene.until(CLOSED_WITHIN_MS, closed, 300)) return scene.say(`${workflowId} has closed`);
    scene.violate('every rollout comes to an end', `${workflowId} still ran after ${CLOSED_WITHIN_MS} ms`);
    await lane.client.workflow.getHandle(workflowId).terminate('the sweep gives it up');
  }

  /** After what may leave a lock behind, and now and then after anything else. */
  private isDisturbed(): boolean {
    const { seed, faults } = this.scene.plan;
    const ends = faults.some(({ how }) => ['reset', 'terminate', 'revive'].includes(kindOf(how)));
    return ends || faults.some(killsWorker) || seed % 4 === 0;
  }

  /** Nothing that a seed did may keep the next rollout of the stream from beginning. */
  private async startAnother(): Promise<void> {
    const { scene } = this;
    const { lane, plan, registry } = scene;
    const workflowId = `${plan.stream}-after`;
    await scene.start(workflowId, VERSIONS.after);
    const label = `${plan.stream}-${VERSIONS.after}-1`;
    const begun = async () => (await registry.findRollout(label)) !== undefined;
    const closing = new Closing(lane.client, workflowId);
    const met = await scene.until(QUIET_WITHIN_MS, async () => (await begun()) || closing.isOver());
    if (!met || !(await begun())) {
      const why = await endOf(lane.client.workflow.getHandle(workflowId).result());
      return scene.violate('a new rollout can begin', `${workflowId} did not: ${why}`);
    }
    await verb({ ...scene.target, workflowId }, 'abort', 'signal').catch(() => undefined);
    await scene.until(QUIET_WITHIN_MS, async () => closing.isOver(), 100);
    await untilQuiet(scene);
  }
}

const wordsOf = ({ invariant, detail }: Violation): string => `${invariant}: ${detail}`;

async function endOf(result: Promise<unknown>): Promise<string> {
  return result.then(
    (end) => JSON.stringify(end),
    (error: unknown) => String(error instanceof Error ? (error.cause ?? error) : error),
  );
}
