/**
 * A stage for the reconciler: a real Temporal server, the real workflows, activities and registry (a file), and simulated
 * sites with real links and reports. Each test has a stream of its own, and so a lock and a reconciler of its own.
 */
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, type WorkflowHandle } from '@temporalio/client';
import { NativeConnection, Runtime, Worker, type WorkflowBundleOption } from '@temporalio/worker';
import { stringify } from 'yaml';
import type { ControlActivities, SweepSummary } from '../../activities/contract.js';
import type { ControlDeps } from '../../activities/control/deps.js';
import { createControlActivities } from '../../activities/control/index.js';
import { startTemporal, type TemporalServer } from '../../infra/dev/temporal.js';
import { catchUpId } from '../../policies/model/debt.js';
import { TASK_QUEUE, type RolloutStatus } from '../../policies/model/rollout.js';
import { openDepot } from '../../records/depot/open-depot.js';
import { publishRelease } from '../../records/depot/publish.js';
import { openRegistry } from '../../records/registry/open.js';
import type { Registry } from '../../records/registry/registry.js';
import { recordHistories } from './record-histories.js';
import { Fleet } from '../faults/fleet.js';
import { makeKeys } from '../faults/project.js';
import { SimulatedSite, type Fate } from '../faults/site.js';
import { workflowBundle } from '../infra/bundle.js';

const apiVersion = 'foothold/v1';
const PACE = { burst: 10, perMinute: 600, jitter: 50, gather: 400, backOff: 500, settleWithin: 9_000 };
const SCRIPT = { stageMs: 10, switchMs: 10, watchMs: 100, undoMs: 10, laterMs: 0 };

interface Place {
  stream: string;
  risk: 'low' | 'high';
  queue?: string;
  link?: string;
}

export interface NewSite {
  /** What it runs at first; absent: nothing. */
  live?: string;
  fates?: Record<string, Fate>;
  /** Watches that long, on a link whose patience is long enough for it. */
  watchMs?: number;
  risk?: 'low' | 'high';
  /** A queue that it shares; default its own. */
  queue?: string;
}

export class CatchUpStage {
  readonly directory = mkdtempSync(join(tmpdir(), 'fh-catch-up-'));
  readonly keys = makeKeys();
  readonly sites = new Map<string, SimulatedSite>();
  registry!: Registry;
  client!: Client;
  fleet!: Fleet;
  private server!: TemporalServer;
  private connection!: NativeConnection;
  private bundle!: WorkflowBundleOption;
  private measured: { prometheus: string; gates: unknown } | undefined;
  private control: { worker: Worker; running: Promise<void> } | undefined;
  private readonly places = new Map<string, Place>();
  private readonly digests = new Map<string, string>();

  /** `prometheus`: where its gates ask, and for a strategy `gated` besides `quick`, whose `gates` are these. */
  static async open(measured?: { prometheus: string; gates: unknown }): Promise<CatchUpStage> {
    const stage = new CatchUpStage();
    stage.measured = measured;
    Runtime.install({ shutdownSignals: [], logger: silent });
    stage.server = await startTemporal({ directory: join(stage.directory, 't') });
    stage.connection = await NativeConnection.connect({ address: stage.server.address });
    stage.client = new Client({ connection: stage.connection });
    stage.fleet = new Fleet({ connection: stage.connection, namespace: 'default' });
    stage.bundle = await workflowBundle();
    stage.writeProject();
    await stage.openControl();
    return stage;
  }

  private writeProject(): void {
    mkdirSync(join(this.directory, 'strategies'));
    const depot = { write: 'depot/', read: 'http://127.0.0.1:9/' };
    this.write('foothold.yaml', { apiVersion, kind: 'Project', depot });
    this.writeStrategy('quick', { gate: 'none', because: 'a test', soak: '1s' });
    if (this.measured) this.writeStrategy('gated', { gate: 'health', soak: '40s' }, this.measured.gates);
  }

  private writeStrategy(name: string, judged: Record<string, unknown>, gates?: unknown): void {
    this.write(`strategies/${name}.yaml`, {
      ...{ apiVersion, kind: 'Strategy', name, owner: 'duty' },
      defaults: { ...judged, concurrency: 50, budget: { failed: '25%', owed: '90%' } },
      stages: [
        { name: 'canary', select: { risk: 'low' } },
        { name: 'rest', select: { risk: 'high' } },
      ],
      onInconclusive: { within: '10m', then: 'stay' },
      ...(gates === undefined ? {} : { gates }),
    });
  }

  private write(name: string, content: unknown): void {
    writeFileSync(join(this.directory, name), stringify(content));
  }

  async openControl(registry = 'registry.db'): Promise<void> {
    this.registry = await openRegistry(`sqlite:${join(this.directory, registry)}`);
    const worker = await Worker.create({
      connection: this.connection,
      taskQueue: TASK_QUEUE,
      workflowBundle: this.bundle,
      activities: this.staged({
        registry: this.registry,
        depot: openDepot(join(this.directory, 'depot')),
        projectPath: join(this.directory, 'foothold.yaml'),
        controlKeyPem: this.keys.privatePem,
        client: this.client,
        ...(this.measured && { prometheusUrl: this.measured.prometheus }),
        catchUpPace: PACE,
        now: Date.now,
      }),
      shutdownForceTime: '2s',
      stickyQueueScheduleToStartTimeout: '1s',
    });
    this.control = { worker, running: worker.run() };
  }

  /** As if agents had begun only after it was looked at whether they had. */
  blind = false;

  /** Called when commands were judged, and are not on record yet. */
  beforeCommanded: ((sites: string[]) => Promise<void>) | undefined;

  private staged(deps: ControlDeps): ControlActivities {
    const registry: Registry = {
      ...deps.registry,
      recordCommanded: async (firstRunId, rows, now) => {
        await this.beforeCommanded?.(rows.map(({ site }) => site));
        return deps.registry.recordCommanded(firstRunId, rows, now);
      },
    };
    const activities = createControlActivities({ ...deps, registry });
    const judgeWithdrawal: ControlActivities['judgeWithdrawal'] = async (input, sites) => {
      const judged = await activities.judgeWithdrawal(input, sites);
      return this.blind ? { ...judged, begun: [] } : judged;
    };
    return { ...activities, judgeWithdrawal };
  }

  /** As `foothold freeze` and its like do, once what they put is on record. */
  withdraw(): Promise<{ asked: number }> {
    const workflowId = `foothold/withdraw/${Date.now()}`;
    return this.client.workflow.execute('withdraw', { workflowId, taskQueue: TASK_QUEUE, args: [] });
  }

  async closeControl(): Promise<void> {
    this.control?.worker.shutdown();
    await this.control?.running;
    this.control = undefined;
    await this.registry.close();
  }

  /** A copy to go back to, made with the control worker down. */
  backUp(): void {
    for (const tail of ['', '-wal']) {
      const from = join(this.directory, `registry.db${tail}`);
      if (existsSync(from)) copyFileSync(from, join(this.directory, `backup.db${tail}`));
    }
  }

  async publish(stream: string, ...versions: string[]): Promise<void> {
    for (const version of versions) {
      const release = join(this.directory, 'releases', stream, version);
      mkdirSync(join(release, 'files'), { recursive: true });
      writeFileSync(join(release, 'files', 'settings'), `${stream} ${version}\n`);
      const content = {
        ...{ apiVersion, kind: 'Release', stream, version },
        driver: { type: 'directory', files: './files', target: '/nowhere' },
        checks: 'none',
        because: 'the sites are simulated',
        confirm: { within: '10m', healthyFor: '0s' },
      };
      writeFileSync(join(release, 'release.yaml'), stringify(content));
      const { ref } = await publishRelease(release, join(this.directory, 'depot'));
      this.digests.set(`${stream}@${version}`, ref.digest);
    }
  }

  digestOf(stream: string, version: string): string {
    return this.digests.get(`${stream}@${version}`) ?? `sha256:${'0'.repeat(64)}`;
  }

  /** In the fleet file, and dark until `up`. */
  addSite(id: string, stream: string, its: NewSite = {}): SimulatedSite {
    const held = its.live === undefined ? [] : [{ version: its.live, digest: this.digestOf(stream, its.live) }];
    const script = { ...SCRIPT, fates: its.fates ?? {}, ...(its.watchMs !== undefined && { watchMs: its.watchMs }) };
    const site = new SimulatedSite({ site: id, stream, confirmed: held }, script, this.keys.publicPem);
    if (held.length === 0) site.books.state = 'idle';
    this.sites.set(id, site);
    this.fleet.add(id, site, () => undefined);
    this.places.set(id, {
      stream,
      risk: its.risk ?? 'high',
      ...(its.queue !== undefined && { queue: its.queue }),
      ...(its.watchMs !== undefined && { link: 'slow' }),
    });
    this.writeFleet();
    return site;
  }

  private writeFleet(): void {
    const sites = [...this.places].map(([id, { stream, ...rest }]) => ({ id, streams: [stream], ...rest }));
    const quick = { settleWithin: '3s', startWithin: '600ms', heartbeat: '4s' };
    this.write('fleet.yaml', {
      apiVersion,
      kind: 'Fleet',
      linkClasses: { quick, slow: { ...quick, settleWithin: '9s' } },
      defaults: { link: 'quick' },
      sites,
    });
  }

  async up(...ids: string[]): Promise<void> {
    const queues = new Set(ids.map((id) => this.places.get(id)?.queue ?? `site-${id}`));
    for (const queue of queues) await this.fleet.serve(queue, 60);
    for (const id of ids) this.fleet.connect(id);
  }

  async down(id: string): Promise<void> {
    await this.fleet.disconnect(id);
    await this.fleet.leave(`site-${id}`);
  }

  start(stream: string, version: string, strategy = 'quick'): Promise<WorkflowHandle> {
    const workflowId = `rollout/${stream}-${version}`;
    const args = [{ release: `${stream}@${version}`, strategy }];
    return this.client.workflow.start('rollout', { workflowId, taskQueue: TASK_QUEUE, args });
  }

  /** To its end, whatever that is. */
  async rollOut(stream: string, version: string, strategy?: string): Promise<RolloutStatus> {
    const handle = await this.start(stream, version, strategy);
    await handle.result().catch(() => undefined);
    return this.statusOf(handle.workflowId);
  }

  async statusOf(reference: string): Promise<RolloutStatus> {
    const status = await this.registry.findRollout(reference);
    if (!status) throw new Error(`no rollout ${reference}`);
    return status;
  }

  live(id: string): string | undefined {
    return this.sites.get(id)?.books.live?.version;
  }

  /** `<verb> <version>` in the order in which the site took commands; those it refused as stale are left out. */
  commands(id: string): string[] {
    const log = this.sites.get(id)?.books.log ?? [];
    return log.flatMap((entry) =>
      entry.kind === 'command' && entry.judged === 'fresh'
        ? [`${entry.command.verb} ${entry.command.releaseVersion}`]
        : [],
    );
  }

  /** Batches of the stream, oldest first. */
  async batches(stream: string): Promise<RolloutStatus[]> {
    const all = await this.registry.rollouts({ stream });
    return all.filter(({ workflowId }) => workflowId === `${catchUpId(stream)}/batch`).reverse();
  }

  sweep(): Promise<SweepSummary> {
    const workflowId = `sweep/${Date.now()}`;
    return this.client.workflow.execute('sweep', {
      workflowId,
      taskQueue: TASK_QUEUE,
      args: [],
    }) as Promise<SweepSummary>;
  }

  async until<T>(
    read: () => Promise<T | undefined | false> | T | undefined | false,
    words: string,
    within = 25_000,
  ): Promise<T> {
    const end = Date.now() + within;
    while (Date.now() < end) {
      const value = await read();
      if (value !== undefined && value !== false) return value;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`waited ${within} ms in vain for: ${words}`);
  }

  async close(): Promise<void> {
    await recordHistories(this.client);
    await this.fleet.close();
    await this.closeControl();
    await this.connection.close();
    await this.server.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

const silent = { log() {}, trace() {}, debug() {}, info() {}, warn() {}, error() {} };
