/** The links of simulated sites: one worker on the shared queue, one more for each site that goes dark and comes back. */
import { setTimeout as sleep } from 'node:timers/promises';
import { ApplicationFailure } from '@temporalio/common';
import { Client } from '@temporalio/client';
import { Worker, type NativeConnection } from '@temporalio/worker';
import { pino } from 'pino';
import { createSiteActivities } from '../../activities/site/converge.js';
import type { Page, Settled } from '../../policies/model/command.js';
import type { SiteEvent } from '../../policies/model/report.js';
import { keepDelivering } from '../../worker/site-delivery.js';
import type { CallFault } from './seed-faults.js';
import type { SimulatedSite } from './site.js';

export interface Link {
  connection: NativeConnection;
  namespace: string;
}

export type ConvergeFault = Exclude<CallFault, 'kill-before' | 'kill-after'>;

/** Says what befalls the next attempt at a site, if anything. */
export type Spoiler = (site: string) => ConvergeFault | undefined;

const log = pino({ level: 'silent' });

export class Fleet {
  private readonly sites = new Map<string, { site: SimulatedSite; spoil: Spoiler }>();
  private readonly away = new Set<string>();
  private readonly workers = new Map<string, { worker: Worker; running: Promise<void> }>();
  private readonly delivering = new Map<string, { ended: AbortController; over: Promise<void> }>();

  constructor(private readonly link: Link) {}

  add(id: string, site: SimulatedSite, spoil: Spoiler): void {
    this.sites.set(id, { site, spoil });
  }

  /** Another box in the place of the one before, on the same link: nobody answers in between. */
  async swap(id: string, make: () => SimulatedSite): Promise<void> {
    const known = this.sites.get(id);
    if (!known) return;
    this.away.add(id);
    await this.disconnect(id);
    await known.site.stop();
    this.sites.set(id, { ...known, site: make() });
    this.away.delete(id);
  }

  /** Serves a queue; until then every site behind it is dark. */
  async serve(queue: string, slots = 200): Promise<void> {
    const { connection, namespace } = this.link;
    const worker = await Worker.create({
      connection,
      namespace,
      taskQueue: queue,
      activities: { converge: (page: Page) => this.converge(page) },
      maxConcurrentActivityTaskExecutions: slots,
      activityTaskPollerBehavior: { type: 'simple-maximum', maximum: slots > 10 ? 4 : 1 },
      shutdownForceTime: '1s',
    });
    this.workers.set(queue, { worker, running: worker.run().catch(() => undefined) });
  }

  async leave(queue: string): Promise<void> {
    const served = this.workers.get(queue);
    this.workers.delete(queue);
    if (served?.worker.getState() === 'RUNNING') served.worker.shutdown();
    await served?.running;
  }

  /** The site reports now, as on every connect, and whatever it does unobserved from now on. */
  connect(id: string): void {
    const known = this.sites.get(id);
    if (!known || this.delivering.has(id)) return;
    const ended = new AbortController();
    const client = new Client(this.link);
    const over = keepDelivering({ site: id, door: known.site, client, log }, ended.signal);
    this.delivering.set(id, { ended, over });
  }

  /** Connects once there is something that no result will carry: a report of each site at the start would tell nothing. */
  connectWhenNeeded(id: string): void {
    const door = this.sites.get(id)?.site;
    const listening = door?.onEvent((event: SiteEvent) => {
      if (door.observed(event)) return;
      listening?.();
      this.connect(id);
    });
  }

  async disconnect(id: string): Promise<void> {
    const open = this.delivering.get(id);
    this.delivering.delete(id);
    open?.ended.abort();
    await open?.over;
  }

  /** The sites are gone for good; their logs stay with whoever made them. */
  async remove(ids: string[]): Promise<void> {
    await Promise.all(ids.map((id) => this.disconnect(id)));
    for (const id of ids) {
      await this.sites.get(id)?.site.stop();
      this.sites.delete(id);
    }
  }

  async close(): Promise<void> {
    await this.remove([...this.sites.keys()]);
    await Promise.all([...this.workers.keys()].map((queue) => this.leave(queue)));
  }

  private async converge(page: Page): Promise<Settled[]> {
    const id = page.commands[0]?.site ?? '';
    const known = this.sites.get(id);
    if (!known) throw ApplicationFailure.nonRetryable(`no site ${id} is here any more`, 'SITE_NOT_FOUND');
    if (this.away.has(id)) throw ApplicationFailure.retryable(`no agent runs at ${id}`, 'LINK');
    const door = createSiteActivities(known.site, Date.now);
    const fault = known.spoil(id);
    if (fault === 'fail-before') throw ApplicationFailure.retryable('injected: the link failed before', 'LINK');
    if (fault === 'delay') await sleep(1_000);
    // The first of them observes nothing any more once the second has attached.
    if (fault === 'overlap') return (await Promise.all([door.converge(page), door.converge(page)]))[1];
    const settled = await door.converge(page);
    if (fault === 'delay-after') await sleep(1_000);
    if (fault === 'fail-after') throw ApplicationFailure.retryable('injected: the link failed after', 'LINK');
    return fault === 'twice' ? door.converge(page) : settled;
  }
}
