/**
 * A small set-up of real parts that can be broken: Temporal, depot, control worker and agents, each the built command
 * in a process of its own, below one directory. Nothing is started before a test asks, nothing is left after `close`.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from '@temporalio/client';
import { freePort } from '../../infra/dev/ports.js';
import { answers, startProcess, type RunningProcess } from '../../infra/dev/process.js';
import { run, type Ran } from '../../infra/dev/run.js';
import { startTemporal, type TemporalServer } from '../../infra/dev/temporal.js';
import { findProgram } from '../../infra/programs/find.js';
import type { RolloutStatus } from '../../policies/model/rollout.js';
import type { SiteEvent } from '../../policies/model/report.js';
import { exportEvidence, verifyEvidence, type VerifiedEvidence } from '../../records/evidence/document.js';
import { openRegistry } from '../../records/registry/open.js';
import type { Registry } from '../../records/registry/registry.js';
import { callAgent, type AgentStatus } from '../../site/local/client.js';
import { agentFile, FAULT_STREAM, releaseFiles, strategyFile, type ReleaseShape } from './fault-files.js';

/** Built by the set-up of `npm test`. */
const MAIN = resolve(import.meta.dirname, '../../dist/cli/main.js');

export interface FaultStageOptions {
  sites: string[];
  /** Default: none. */
  prometheus?: string;
  /** How long the centre waits for a site, and until when a site begins to switch. Default `60s`. */
  settleWithin?: string;
  /** Default: a file of the project. */
  registry?: string;
}

export interface Ended {
  code: number | null;
  said: string;
}

export class FaultStage {
  readonly root = mkdtempSync(join(tmpdir(), 'fh-'));
  readonly project = join(this.root, 'p');
  readonly env: NodeJS.ProcessEnv;
  registry!: Registry;
  temporal!: TemporalServer;
  depotUrl = '';
  private temporalProgram = '';
  private readonly toStop: (() => Promise<void>)[] = [];
  private starts = 0;

  private constructor(private readonly options: FaultStageOptions) {
    mkdirSync(this.project);
    writeFileSync(join(this.root, 'none.toml'), '[profile.default]\n');
    this.env = { TEMPORAL_CONFIG_FILE: join(this.root, 'none.toml'), FOOTHOLD_BY: 'tester', NO_COLOR: '' };
  }

  /** With Temporal up, and files, key and registry made; depot, worker and sites are started by the test. */
  static async open(options: FaultStageOptions): Promise<FaultStage> {
    const stage = new FaultStage(options);
    try {
      await stage.prepare();
      return stage;
    } catch (error) {
      await stage.close();
      throw error;
    }
  }

  private async prepare(): Promise<void> {
    this.temporalProgram = (await findProgram('temporal')).path;
    this.temporal = await startTemporal({ directory: join(this.root, 't') });
    this.toStop.push(() => this.temporal.stop());
    this.env['TEMPORAL_ADDRESS'] = this.temporal.address;
    this.depotUrl = `http://127.0.0.1:${await freePort()}/`;
    const made = await this.foothold(['init']);
    if (made.code !== 0) throw new Error(`expected init to succeed, it said: ${made.stderr}`);
    this.write('foothold.yaml', this.projectFile());
    this.write('fleet.yaml', this.fleetFile());
    for (const site of this.options.sites) this.makeSite(site);
    this.registry = await openRegistry(this.options.registry ?? `sqlite:${join(this.project, 'registry.db')}`);
    this.toStop.push(() => this.registry.close());
  }

  /** Ends everything, whatever became of it before. Never leaves a process behind because another would not end. */
  async close(): Promise<void> {
    for (const stop of this.toStop.reverse()) await stop().catch((error: unknown) => console.error(error));
    rmSync(this.root, { recursive: true, force: true });
  }

  write(path: string, text: string | Uint8Array): string {
    const target = join(this.project, path);
    mkdirSync(resolve(target, '..'), { recursive: true });
    writeFileSync(target, text);
    return target;
  }

  /** The command to its end. */
  foothold(argv: string[], timeout?: number): Promise<Ran> {
    return run(process.execPath, [MAIN, ...argv], {
      cwd: this.project,
      env: this.env,
      ...(timeout === undefined ? {} : { timeout }),
    });
  }

  /** The CLI of Temporal, as scripts and alerts use it. */
  temporalCli(argv: string[], timeout = 20_000): Promise<Ran> {
    return run(this.temporalProgram, argv, { env: this.env, cwd: this.root, timeout });
  }

  /** A signal with any bytes and any encoding, as only a client of one's own making sends it. */
  async signalBytes(workflowId: string, signalName: string, encoding: string, bytes: string): Promise<void> {
    const connection = await Connection.connect({ address: this.temporal.address });
    try {
      const payload = { metadata: { encoding: Buffer.from(encoding) }, data: Buffer.from(bytes) };
      await connection.workflowService.signalWorkflowExecution({
        namespace: this.temporal.namespace,
        workflowExecution: { workflowId },
        signalName,
        input: { payloads: [payload] },
      });
    } finally {
      await connection.close();
    }
  }

  private async start(
    name: string,
    args: string[],
    ready?: () => Promise<boolean>,
    within: string[] = [],
  ): Promise<RunningProcess> {
    const [path = '', ...before] = [...within, process.execPath];
    const started = await startProcess({
      name: `${name}-${++this.starts}`,
      directory: join(this.root, 'logs'),
      path,
      args: [...before, MAIN, ...args],
      cwd: this.project,
      env: { ...process.env, ...this.env },
      ...(ready ? { ready } : {}),
    });
    this.toStop.push(() => started.stop());
    return started;
  }

  startDepot(): Promise<RunningProcess> {
    const url = this.depotUrl;
    const listen = new URL(url).host;
    return this.start('depot', ['depot', 'serve', 'depot', '--listen', listen], () =>
      // An empty depot has nothing to show, and says so.
      answers(`${url}nothing`, 404),
    );
  }

  /** Returns at once: a worker may have to wait for Temporal. */
  startWorker(): Promise<RunningProcess> {
    return this.start('worker', ['worker', 'run']);
  }

  /** Ready once it answers on its own machine, which needs no network. */
  startSite(site: string, ...more: string[]): Promise<RunningProcess> {
    return this.startSiteWithin([], site, ...more);
  }

  /** Begun by another command, which becomes it: `ip netns exec …`. */
  startSiteWithin(within: string[], site: string, ...more: string[]): Promise<RunningProcess> {
    const answering = async () => {
      await this.statusOf(site);
      return true;
    };
    const args = ['agent', 'run', '--config', this.agentConfig(site), ...more];
    return this.start(`site-${site}`, args, answering, within);
  }

  /** A command that is expected to end soon by itself, with its exit code and all that it said. */
  async endOf(args: string[]): Promise<Ended> {
    const { code, stdout, stderr } = await this.foothold(args, 30_000);
    return { code, said: `${stdout}${stderr}` };
  }

  /** All that processes of this name have logged. */
  logsOf(name: string): string {
    const directory = join(this.root, 'logs');
    const own = readdirSync(directory).filter((file) => file.startsWith(`${name}-`));
    return own.map((file) => readFileSync(join(directory, file), 'utf8')).join('');
  }

  agentConfig(site: string): string {
    return join(this.root, site, 'agent.yaml');
  }

  /** The site's own words, over its socket. */
  statusOf(site: string): Promise<AgentStatus> {
    return callAgent(join(this.root, site, 'data'), 'status', {}, 5_000);
  }

  async journalOf(site: string): Promise<SiteEvent[]> {
    return callAgent(join(this.root, site, 'data'), 'history', { limit: 1_000 }, 5_000);
  }

  /** The releases that the legacy controller of the site was told to load, in order: what was really done there. */
  loads(site: string): string[] {
    const path = join(this.root, site, 'loads');
    return existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : [];
  }

  /** From now on this version, and no other, is unhealthy at the site. */
  makeIll(site: string, version: string): void {
    writeFileSync(join(this.root, site, 'ill'), `${version}\n`);
  }

  livePage(site: string): string {
    return readFileSync(join(this.root, site, 'live/page'), 'utf8');
  }

  async publish(shape: ReleaseShape): Promise<void> {
    for (const [path, text] of Object.entries(releaseFiles(shape))) this.write(`r-${shape.version}/${path}`, text);
    const published = await this.foothold(['publish', `r-${shape.version}`]);
    if (published.code !== 0) throw new Error(`expected it to be published: ${published.stderr}`);
  }

  /**
   * Publishes the release, starts its rollout and returns its label. Publishing mends what is damaged in the depot:
   * with `as it lies there` it is left out.
   */
  async begin(shape: ReleaseShape, strategy = 'steps', depot?: 'as it lies there'): Promise<string> {
    if (depot === undefined) await this.publish(shape);
    const started = await this.foothold(['start', `${FAULT_STREAM}@${shape.version}`, strategy]);
    const label = `${FAULT_STREAM}-${shape.version}-1`;
    if (started.code !== 0) throw new Error(`expected ${label} to begin: ${started.stdout}${started.stderr}`);
    return label;
  }

  async rollout(label: string): Promise<RolloutStatus | undefined> {
    return this.registry.findRollout(label);
  }

  /** The rollout once it has an outcome that stays, and the lock of its stream is free: that comes a moment later. */
  async sealed(label: string, within = 60_000): Promise<RolloutStatus> {
    const read = async () => {
      const status = await this.rollout(label);
      return status?.state === 'sealed' ? status : undefined;
    };
    const status = await until(read, `${label} is sealed`, within);
    await this.temporalCli(['workflow', 'result', '--workflow-id', status.workflowId]);
    return status;
  }

  /** The evidence of the rollout, exported and verified as by a stranger: from its JSON alone. */
  async verified(label: string): Promise<VerifiedEvidence> {
    const status = await this.rollout(label);
    const document = await exportEvidence(this.registry, status?.firstRunId ?? '');
    return verifyEvidence(JSON.parse(JSON.stringify(document)));
  }

  /** A new box in its place: nothing is left of the agent's data, and what was found there at first lies there again. */
  renewSite(site: string): void {
    for (const path of ['data', 'live']) rmSync(join(this.root, site, path), { recursive: true });
    mkdirSync(join(this.root, site, 'data'));
    this.makeSite(site);
  }

  private makeSite(site: string): void {
    const directory = join(this.root, site);
    mkdirSync(join(directory, 'live'), { recursive: true });
    writeFileSync(join(directory, 'live/page'), 'healthy, as found\n');
    writeFileSync(join(directory, 'controller'), 'as found\n');
    writeFileSync(join(directory, 'ill'), '');
    const control = join(this.project, 'control.pub');
    writeFileSync(this.agentConfig(site), agentFile({ site, directory, control, depot: this.depotUrl }));
  }

  private projectFile(): string {
    const prometheus = this.options.prometheus === undefined ? '' : `prometheus: ${this.options.prometheus}\n`;
    return `apiVersion: foothold/v1
kind: Project
fleet: fleet.yaml
strategies: strategies/
depot: { write: depot/, read: ${JSON.stringify(this.depotUrl)} }
registry: ${JSON.stringify(this.options.registry ?? 'sqlite:registry.db')}
controlKey: control.key
${prometheus}`;
  }

  private fleetFile(): string {
    const { sites, settleWithin = '60s' } = this.options;
    this.write('strategies/steps.yaml', strategyFile('steps'));
    const rows = sites.map((id, index) => {
      const risk = index === 0 ? 'low' : 'high';
      return `  - { id: ${id}, risk: ${risk}, vars: { dir: ${JSON.stringify(join(this.root, id))} } }\n`;
    });
    return `apiVersion: foothold/v1
kind: Fleet
linkClasses: { fibre: { settleWithin: ${settleWithin}, startWithin: 20s, heartbeat: 5s } }
defaults: { link: fibre, streams: [${FAULT_STREAM}] }
sites:
${rows.join('')}`;
  }
}

/** Asks until there is an answer; what it asks may fail meanwhile, for parts are being killed. */
export async function until<T>(
  read: () => Promise<T | undefined | false> | T | undefined | false,
  words: string,
  within = 60_000,
): Promise<T> {
  const end = performance.now() + within;
  let last: unknown;
  while (performance.now() < end) {
    try {
      const value = await read();
      if (value !== undefined && value !== false) return value;
      last = undefined;
    } catch (error) {
      last = error;
    }
    await sleep(100);
  }
  throw new Error(`waited ${within} ms in vain for: ${words}`, { cause: last });
}
