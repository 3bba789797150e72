/**
 * The limits of infra/units/foothold-agent.service, with its own numbers, around the real agent: it stages a release of some
 * hundred MB without being killed, and undoes it in time with the share of the processor that is left to it. A control
 * group of version 1 stands in for systemd; `MemoryHigh` exists in version 2 only, so what it would throttle is measured.
 */
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { stringify } from 'yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { STRATEGY, STREAM, writeProject } from '../../bench/sweep/project.js';
import { startProcess, type RunningProcess } from '../../infra/dev/process.js';
import { startTemporal } from '../../infra/dev/temporal.js';
import { TASK_QUEUE } from '../../policies/model/rollout.js';
import { publishRelease } from '../../records/depot/publish.js';
import { serveDepot } from '../../records/depot/serve.js';
import { bytesOf, readUnit } from '../infra/units/read-unit.js';
import { until } from './fault-stage.js';

const GROUPS = '/sys/fs/cgroup';
const usable =
  process.getuid?.() === 0 &&
  ['memory', 'cpu', 'cpuacct'].every((one) => existsSync(join(GROUPS, one, 'cgroup.procs')));
/** Built by the set-up of `npm test`. */
const FOOTHOLD = resolve(import.meta.dirname, '../../dist/bin/foothold.cjs');
const SITE = 'osl-01';
const MB = 2 ** 20;
const BIG_MB = 300;
const CHECK_EVERY_MS = 1_000;
/** For an undo: the check's period, and what the start of a program and the undo cost at half a core beside other tests. */
const UNDONE_WITHIN_MS = CHECK_EVERY_MS + 4_000;

const { settings } = readUnit('foothold-agent.service');
const limits = {
  memoryHigh: bytesOf(settings['MemoryHigh']),
  memoryMax: bytesOf(settings['MemoryMax']),
  cpus: Number.parseInt(settings['CPUQuota'] ?? '') / 100,
};

const root = mkdtempSync(join(tmpdir(), 'foothold-limits-'));
const live = join(root, 'live');
const flag = join(root, 'sick');
const group = (controller: string) => join(GROUPS, controller, `foothold-limits-${process.pid}`);
const toStop: (() => unknown)[] = [() => rmSync(root, { recursive: true, force: true })];
let agent: RunningProcess;
let client: Client;
let depot: string;

function read(controller: string, file: string): string {
  return readFileSync(join(group(controller), file), 'utf8');
}
function field(text: string, name: string): number {
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1]);
}

function makeGroups(): void {
  for (const controller of ['memory', 'cpu', 'cpuacct']) mkdirSync(group(controller));
  toStop.push(() => ['memory', 'cpu', 'cpuacct'].forEach((controller) => rmdirSync(group(controller))));
  writeFileSync(join(group('memory'), 'memory.limit_in_bytes'), String(limits.memoryMax));
  writeFileSync(join(group('cpu'), 'cpu.cfs_period_us'), '100000');
  writeFileSync(join(group('cpu'), 'cpu.cfs_quota_us'), String(limits.cpus * 100_000));
}

function writeRelease(version: string, megabytes: number): string {
  const release = join(root, 'releases', version);
  mkdirSync(join(release, 'files'), { recursive: true });
  writeFileSync(join(release, 'files', 'version'), version);
  for (let i = 0; i < megabytes / 50; i += 1) writeFileSync(join(release, 'files', `part-${i}`), randomBytes(50 * MB));
  const check = { name: 'well', exec: ['/usr/bin/test', '!', '-e', flag], every: `${CHECK_EVERY_MS}ms`, failures: 1 };
  const long = { within: '10m', healthyFor: '9m' };
  const content = {
    ...{ apiVersion: 'foothold/v1', kind: 'Release', stream: STREAM, version, first: megabytes === 0 },
    driver: { type: 'directory', files: './files', target: live, timeout: '5m' },
    ...{ checks: [check], watchFor: '0s' },
    confirm: megabytes === 0 ? { within: '1m', healthyFor: '0s' } : long,
  };
  writeFileSync(join(release, 'release.yaml'), JSON.stringify(content));
  return release;
}

async function rollOut(version: string, megabytes: number) {
  const { ref } = await publishRelease(writeRelease(version, megabytes), depot);
  const args = [{ release: `${ref.stream}@${ref.version}`, strategy: STRATEGY }];
  return client.workflow.start('rollout', { workflowId: `limits-${version}`, taskQueue: TASK_QUEUE, args });
}

async function startAgent(depotUrl: string, publicKeyPem: string, env: NodeJS.ProcessEnv): Promise<RunningProcess> {
  writeFileSync(join(root, 'control.pub'), publicKeyPem);
  const file = { apiVersion: 'foothold/v1', kind: 'Agent', site: SITE, data: 'data', controlKeys: ['control.pub'] };
  writeFileSync(join(root, 'agent.yaml'), stringify({ ...file, depot: depotUrl, link: 'fibre' }));
  const enter = ['memory', 'cpu', 'cpuacct'].map((one) => `echo $$ > ${join(group(one), 'cgroup.procs')}`).join(' && ');
  const command = [process.execPath, FOOTHOLD, 'agent', 'run', '--config', join(root, 'agent.yaml')];
  return startProcess({
    ...{ name: 'agent', directory: join(root, 'logs'), path: '/bin/sh' },
    args: ['-c', `${enter} && exec "$@"`, 'sh', ...command],
    env,
  });
}

/** An agent that was killed is never waited for. */
function whileItLives<T>(work: Promise<T>): Promise<T> {
  const killed = agent.exited.then(({ code, signal }): never => {
    throw new Error(`the agent has ended: ${signal ?? code}`);
  });
  return Promise.race([work, killed]);
}

/** What of it cannot be given back: page cache is, first. */
function resident(): number {
  return field(read('memory', 'memory.stat'), 'total_rss');
}

beforeAll(async () => {
  if (!usable) return;
  makeGroups();
  const temporal = await startTemporal({ directory: join(root, 't') });
  toStop.push(() => temporal.stop());
  depot = join(root, 'project', 'depot');
  mkdirSync(depot, { recursive: true });
  const served = await serveDepot(depot, { host: '127.0.0.1', port: 0 });
  toStop.push(() => served.close());
  const project = writeProject(join(root, 'project'), [SITE], 1, served.url);
  const env = { ...process.env, TEMPORAL_ADDRESS: temporal.address, TEMPORAL_CONFIG_FILE: join(root, 'none.toml') };
  writeFileSync(join(root, 'none.toml'), '[profile.default]\n');
  const worker = await startProcess({
    ...{ name: 'worker', directory: join(root, 'logs'), path: process.execPath, args: [FOOTHOLD, 'worker', 'run'] },
    ...{ cwd: join(root, 'project'), env },
  });
  toStop.push(() => worker.stop());
  agent = await startAgent(served.url, project.publicKeyPem, env);
  toStop.push(() => agent.stop());
  const connection = await Connection.connect({ address: temporal.address });
  toStop.push(() => connection.close());
  client = new Client({ connection });
});
afterAll(async () => {
  for (const stop of toStop.reverse()) await stop();
});

describe.skipIf(!usable)(
  'the agent within the limits of its unit (skipped without root and control groups of version 1)',
  () => {
    it('comes up, and brings its first release', async () => {
      const first = await whileItLives(
        until(
          async () => {
            const handle = await rollOut('1.0.0', 0).catch(() => undefined);
            return handle && ((await handle.result().catch(() => undefined)) as { outcome: string } | undefined);
          },
          'the first release',
          90_000,
        ),
      );
      expect(first).toMatchObject({ outcome: 'promoted' });
    });

    it(`stages ${BIG_MB} MB without being killed, and within its share of the processor`, async () => {
      const before = { cpu: Number(read('cpuacct', 'cpuacct.usage')), at: performance.now() };
      await rollOut('2.0.0', BIG_MB);
      let most = 0;
      const version = () => readFileSync(join(live, 'version'), 'utf8');
      await whileItLives(
        until(
          async () => {
            most = Math.max(most, resident());
            return version() === '2.0.0';
          },
          'the second release',
          180_000,
        ),
      );
      const seconds = (performance.now() - before.at) / 1_000;
      const cpu = (Number(read('cpuacct', 'cpuacct.usage')) - before.cpu) / 1e9;
      console.log(
        `staged in ${seconds.toFixed(1)} s with ${cpu.toFixed(1)} s of processor, ${Math.round(most / MB)} MB resident at most`,
      );
      expect(agent.running()).toBe(true);
      expect(field(read('memory', 'memory.oom_control'), 'oom_kill')).toBe(0);
      // Above it, systemd would throttle the agent where there is no page cache to give back.
      expect(most).toBeLessThan(limits.memoryHigh);
      expect(cpu).toBeLessThan(1.05 * limits.cpus * seconds);
      expect(field(read('cpu', 'cpu.stat'), 'nr_throttled')).toBeGreaterThan(0);
    });

    it('undoes it in time', async () => {
      await sleep(2 * CHECK_EVERY_MS);
      const bad = realpathSync(live);
      writeFileSync(flag, '');
      const began = performance.now();
      await until(async () => realpathSync(live) !== bad, 'the undo', 60_000);
      const undone = performance.now() - began;
      console.log(`undone after ${Math.round(undone)} ms, checks every ${CHECK_EVERY_MS} ms`);
      expect(readFileSync(join(live, 'version'), 'utf8')).toBe('1.0.0');
      expect(undone).toBeLessThan(UNDONE_WITHIN_MS);
      expect(agent.running()).toBe(true);
    });
  },
);
