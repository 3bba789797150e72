/** Waking the reconciler of a stream, and carriers of refused undos: a quick way only, for what is missed the sweeper finds. */
import type { Client } from '@temporalio/client';
import { judgeDrift } from '../../policies/catch-up/drift.js';
import { CATCH_UP, catchUpId, type Debt, type Desired } from '../../policies/model/debt.js';
import type { SiteReport } from '../../policies/model/report.js';
import { TASK_QUEUE } from '../../policies/model/rollout.js';
import { leavesRevertOwed } from '../../policies/site/not-taken.js';
import { Gathered } from '../../records/registry/gathered.js';
import type { ControlDeps } from './deps.js';
import { readFleet } from './sources.js';
import { signalIfOpen } from './temporal-facts.js';

/** One reconciler a stream: its fixed workflow id is what makes a second one impossible. */
export async function wakeCatchUp(client: Client, stream: string): Promise<void> {
  await client.workflow.signalWithStart('catchUp', {
    workflowId: catchUpId(stream),
    taskQueue: TASK_QUEUE,
    args: [{ stream }],
    signal: 'wake',
    signalArgs: [],
    staticSummary: `brings sites of ${stream} to what they should run`,
  });
}

/** One that is gone the reconciler starts again. Late or twice: the shard asks for what is refused then, if anything is. */
async function wakeCarriers(client: Client, site: string, owing: Debt[]): Promise<void> {
  const refused = owing.filter(({ verb, reason }) => leavesRevertOwed({ verb, result: 'rejected', reason }));
  for (const carrier of new Set(refused.flatMap((debt) => debt.carrier ?? []))) {
    await signalIfOpen(client, carrier, 'signAnew', [site]);
  }
}

/** A signal for each of thousands of returning sites would fill the history of the one workflow that they are for. */
const AT_MOST_EVERY = 1_000;
/** An inbox holds its workflow task meanwhile, and the time of what it does there is short. */
const WAKES_WITHIN = 2_000;
const FLEET_KEPT = 10_000;

/** Of one site: undos that it owes, and streams whose reconciler has something to do for it. */
interface Owing {
  reverts: Debt[];
  apart: Set<string>;
}

export class CatchUpWaker {
  readonly #wokenAt = new Map<string, number>();
  #lists?: { at: number; streams: Promise<Map<string, readonly string[]>> };

  readonly #known = new Gathered<SiteReport, Owing>({
    record: (reports) => this.#owingOf(reports),
    nameOf: ({ site }) => site,
  });

  constructor(readonly deps: ControlDeps) {}

  /**
   * Wakes the reconcilers of the streams in which the site differs from what it should run, or owes an undo that no rollout
   * has any more; and, for an agent that speaks for its site, whoever carries an undo that was refused there. What is asked of
   * the registry is asked together with others; what is asked of Temporal nobody else waits for, and this site not for long.
   */
  async heardOf(report: SiteReport, speaks: boolean): Promise<void> {
    const { client } = this.deps;
    const { apart, reverts } = await this.#known.do(report);
    await client.withDeadline(Date.now() + WAKES_WITHIN, async () => {
      for (const stream of apart) await this.#wake(stream);
      if (speaks) await wakeCarriers(client, report.site, reverts);
    });
  }

  async #owingOf(reports: SiteReport[]): Promise<Owing[]> {
    const { registry } = this.deps;
    const sites = reports.map(({ site }) => site);
    const owing = await registry.debts({ sites, verb: 'revert' });
    const all = reports.map((report) => {
      const reverts = owing.filter(({ site }) => site === report.site);
      const apart = new Set(reverts.filter(({ owner }) => owner === CATCH_UP).map(({ stream }) => stream));
      return { report, reverts, apart };
    });
    for (const stream of await registry.desiredStreams()) {
      const desired = await registry.desired(stream, sites);
      for (const { report, apart } of all)
        if (await this.#differs(report, stream, desired.get(report.site))) apart.add(stream);
    }
    return all;
  }

  async #differs({ site, streams }: SiteReport, stream: string, desired: Desired | undefined): Promise<boolean> {
    if (!desired) return false;
    const drift = judgeDrift(streams[stream] ?? null, desired, 0);
    return (drift === 'owed' || drift === 'ahead') && this.#listsStream(site, stream);
  }

  /** By a fleet that may be some seconds old: reading it for each of many sites would cost more than all else here. */
  async #listsStream(site: string, stream: string): Promise<boolean> {
    const now = this.deps.now();
    if (!this.#lists || now - this.#lists.at > FLEET_KEPT) {
      const streams = readFleet(this.deps).then(
        ({ sites }) => new Map(sites.map((one) => [one.id, one.streams])),
        // A fleet file with a mistake in it must not stop what a site tells.
        () => new Map<string, readonly string[]>(),
      );
      this.#lists = { at: now, streams };
    }
    // A site that it does not know may be new: the reconciler reads the fleet as it is.
    return (await this.#lists.streams).get(site)?.includes(stream) ?? true;
  }

  /** The first at once; those of the next second share one more, for a batch may have been decided before they came. */
  async #wake(stream: string): Promise<void> {
    const now = Date.now();
    const wokenAt = this.#wokenAt.get(stream) ?? -Infinity;
    if (wokenAt > now) return;
    const wait = wokenAt + AT_MOST_EVERY - now;
    if (wait <= 0) {
      this.#wokenAt.set(stream, now);
      return wakeCatchUp(this.deps.client, stream);
    }
    this.#wokenAt.set(stream, now + wait);
    setTimeout(() => {
      wakeCatchUp(this.deps.client, stream).catch(() => undefined);
    }, wait).unref();
  }
}
