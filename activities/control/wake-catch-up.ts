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
const FLEET_KEPT = 10_000;

interface Heard {
  report: SiteReport;
  speaks: boolean;
}

export class CatchUpWaker {
  readonly #wokenAt = new Map<string, number>();
  #lists?: { at: number; streams: Promise<Map<string, readonly string[]>> };

  readonly #heard = new Gathered<Heard, void>({
    record: (heard) => this.#wakeFor(heard),
    nameOf: ({ report }) => report.site,
  });

  constructor(readonly deps: ControlDeps) {}

  /**
   * Wakes the reconcilers of the streams in which the site differs from what it should run, or owes an undo that no rollout
   * has any more; and, for an agent that speaks for its site, whoever carries an undo that was refused there.
   */
  heardOf(report: SiteReport, speaks: boolean): Promise<void> {
    return this.#heard.do({ report, speaks });
  }

  async #wakeFor(heard: Heard[]): Promise<void[]> {
    const sites = heard.map(({ report }) => report.site);
    const owing = await this.deps.registry.debts({ sites, verb: 'revert' });
    for (const stream of await this.#apart(heard, owing)) await this.#wake(stream);
    for (const { report, speaks } of heard) {
      const its = owing.filter(({ site }) => site === report.site);
      if (speaks) await wakeCarriers(this.deps.client, report.site, its);
    }
    return heard.map(() => undefined);
  }

  async #apart(heard: Heard[], owing: Debt[]): Promise<Set<string>> {
    const { registry } = this.deps;
    const sites = heard.map(({ report }) => report.site);
    const apart = new Set(owing.filter(({ owner }) => owner === CATCH_UP).map(({ stream }) => stream));
    for (const stream of await registry.desiredStreams()) {
      const desired = await registry.desired(stream, sites);
      for (const { report } of heard) {
        if (!apart.has(stream) && (await this.#differs(report, stream, desired.get(report.site)))) apart.add(stream);
      }
    }
    return apart;
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
