/** A site of which the centre hears over one connection after the other. */
import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { expect, vi } from 'vitest';
import { LINK_TIMERS } from '../../policies/model/link.js';
import type { SiteEvent } from '../../policies/model/report.js';
import type { SiteDoor } from '../../policies/model/site-door.js';
import type { InboxEnd, OutboxEntry, SparePriority } from '../../policies/model/telemetry.js';
import { openLog } from '../../worker/log.js';
import { Announced, keepDelivering } from '../../worker/site-delivery.js';

const LARGEST_PAYLOAD = 2 * 1024 * 1024;

/** Nobody acknowledges its journal by a command. */
export class Unacknowledged {
  readonly told: number[] = [];
  readonly deliveries: number[] = [];
  readonly outbox: number[] = [];
  /** What went to the inbox that sites share, delivery by delivery; everything else here is of the site's own. */
  readonly arrived: number[][] = [];
  private readonly journal: { sequence: number }[];
  private readonly listeners = new Set<(event: SiteEvent) => void>();
  private readonly announced = new Announced();
  private refusals = 0;
  namespaceId = 'one';
  /** Bytes of a delivery that come through in time. */
  passes = LARGEST_PAYLOAD;
  /** How the inbox stands that took the last delivery, or what it ended with. */
  inbox: 'RUNNING' | 'TERMINATED' | 'gone' | InboxEnd = 'RUNNING';

  constructor(
    private readonly acked: number,
    events: number,
    private readonly samples = 0,
    /** Of each event and each sample, besides. */
    private readonly text = '',
  ) {
    this.journal = Array.from({ length: events }, (_, index) => ({ sequence: acked + 1 + index, text }));
  }

  get last(): number {
    return this.journal.at(-1)?.sequence ?? this.acked;
  }

  get expected(): number[] {
    return this.journal.map(({ sequence }) => sequence);
  }

  append(): void {
    const event = { sequence: this.last + 1 };
    this.journal.push(event);
    for (const listener of this.listeners) listener(event as SiteEvent);
  }

  refuse(times: number): void {
    this.refusals = times;
  }

  private take(delivery: { events: SiteEvent[]; outbox?: { entries: OutboxEntry[] } }): void {
    if (this.refusals-- > 0) throw new Error('14 UNAVAILABLE');
    // As Temporal does, at every try.
    if (Buffer.byteLength(JSON.stringify(delivery)) > LARGEST_PAYLOAD) throw new Error('3 INVALID_ARGUMENT: too large');
    if (Buffer.byteLength(JSON.stringify(delivery)) > this.passes) throw new Error('4 DEADLINE_EXCEEDED');
    this.told.push(...delivery.events.map(({ sequence }) => sequence));
    this.deliveries.push(delivery.events.length);
    this.outbox.push(...(delivery.outbox?.entries ?? []).map(({ sequence }) => sequence));
  }

  private arrive({ events }: { events: SiteEvent[] }): void {
    if (this.refusals-- > 0) throw new Error('14 UNAVAILABLE');
    this.arrived.push(events.map(({ sequence }) => sequence));
  }

  private readonly door = {
    onEvent: (listener: (event: SiteEvent) => void) => {
      this.listeners.add(listener);
      return () => this.listeners.delete(listener);
    },
    observed: () => false,
    unacknowledged: (limit: number, after = 0) =>
      this.journal.filter(({ sequence }) => sequence > Math.max(this.acked, after)).slice(0, limit),
    report: async () => ({ site: 'osl-01', epoch: 1 }),
    contacted: () => undefined,
    outbox: {
      waiting: (priority: SparePriority, after: number, limit: number) =>
        priority === 'routine'
          ? Array.from({ length: Math.min(limit, this.samples - after) }, (_, n) => ({
              priority,
              sequence: after + 1 + n,
              text: this.text,
            }))
          : [],
      page: (entries: OutboxEntry[]) => ({ entries }),
      acknowledge: () => undefined,
    },
  } as unknown as SiteDoor;

  private readonly client = {
    workflow: {
      signalWithStart: async (type: string, { signalArgs }: { signalArgs: Parameters<Unacknowledged['take']> }) =>
        type === 'arrivals' ? this.arrive(...signalArgs) : this.take(...signalArgs),
      getHandle: () => ({
        describe: async () => {
          if (this.inbox === 'gone') throw new WorkflowNotFoundError('not found', 'inbox/osl-01', undefined);
          return { status: { name: typeof this.inbox === 'string' ? this.inbox : 'COMPLETED' } };
        },
        result: async () => this.inbox,
      }),
    },
    workflowService: { describeNamespace: async () => ({ namespaceInfo: { id: this.namespaceId } }) },
    options: { namespace: 'default' },
    withDeadline: async (_deadline: number, ask: () => Promise<unknown>) => ask(),
  } as unknown as Client;

  /** One connection, which reports of its own accord once an hour if not told otherwise; `during` is over before it ends. */
  async connect(during: () => Promise<void>, reportEvery = 3_600_000, contactEvery = 15_000): Promise<void> {
    const end = new AbortController();
    const log = openLog('test');
    log.level = 'silent';
    const { door, client } = this;
    const timers = { ...LINK_TIMERS.fibre, reportEvery, contactEvery };
    const running = keepDelivering(
      { site: 'osl-01', door, client, log, timers, namespaceId: 'one', announced: this.announced },
      end.signal,
    );
    await during().finally(() => end.abort());
    await running;
  }
}

export const heard = (site: Unacknowledged) =>
  vi.waitFor(() => expect(site.told.at(-1)).toBe(site.last), { timeout: 8_000, interval: 20 });
