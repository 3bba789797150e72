/** The rollout of a thousand simulated sites: its files, its links, and what became of every site. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { TASK_QUEUE, type RolloutStatus } from '../../policies/model/rollout.js';
import { openRegistry } from '../../records/registry/open.js';
import type { Registry } from '../../records/registry/registry.js';
import { GATE_QUERY } from './prometheus.js';
import { SHARED_QUEUE, STRATEGY, writeProject, type SeedProject } from './project.js';
import { isRunning } from './runs.js';
import { VERSIONS } from './seed.js';
import { SimulatedSite } from './site.js';
import type { Lane, Stand } from './stand.js';
import { scriptSites, type ScriptedSite } from './thousand-script.js';

const apiVersion = 'foothold/v1';
/** The control worker's process tells whose activity it is by a name of this form. */
export const STREAM = 'seed-1000';
export const ROLLOUT = `${STREAM}-main`;
const OLDER = { version: '0.9.0', digest: `sha256:${'0'.repeat(64)}` };
/** After the first site of a wave was commanded: well within the time that a site has. */
const BACK_AFTER_MS = 2_500;
const FLAPS = 2;

export interface Thousand {
  sites: ScriptedSite[];
  simulated: Map<string, SimulatedSite>;
  registry: Registry;
  lane: Lane;
  /** Of the release that is rolled out. */
  digest: string;
  start(): Promise<void>;
  /** Until the rollout is over. */
  sealed(): Promise<RolloutStatus>;
  bringBackRest(): Promise<void>;
  close(): Promise<void>;
}

const queueOf = ({ kind, part }: ScriptedSite) => (kind.startsWith('dark') ? `${kind}-${part}` : SHARED_QUEUE);

export async function openThousand(stand: Stand): Promise<Thousand> {
  const lane = await stand.openLane('thousand', { forgetful: false });
  const directory = join(stand.directory, STREAM);
  mkdirSync(directory);
  const sites = scriptSites(STREAM);
  const project = await writeProject(directory, { stream: STREAM, fleet: fleetOf(sites), strategy: STRATEGY_FILE });
  const registry = await openRegistry(project.registry);
  const simulated = new Map<string, SimulatedSite>();
  stand.prometheus.script(STREAM, {
    ...{ gates: {}, answers: [], before: project.digests[VERSIONS.before] ?? '' },
    logOf: (site) => simulated.get(site)?.books.log,
  });
  for (const site of sites) await addSite(site, { stand, lane, project, registry, simulated });
  const served = sites.map((site) => serveDuring(site, lane, simulated));
  await lane.control.seed({
    ...{ stream: STREAM, rollout: ROLLOUT, projectPath: project.path, depot: project.depot, faults: [] },
    ...{ registry: project.registry, prometheusUrl: `${stand.prometheus.url}/${STREAM}` },
    controlKeyPem: stand.keys.privatePem,
  });
  return {
    ...{ sites, simulated, registry, lane, digest: project.digests[VERSIONS.main] ?? '' },
    async start() {
      const args = [{ release: `${STREAM}@${VERSIONS.main}`, strategy: STRATEGY }];
      await lane.client.workflow.start('rollout', { workflowId: ROLLOUT, taskQueue: TASK_QUEUE, args });
    },
    async sealed() {
      while (await isRunning(lane.client, ROLLOUT)) await sleep(500);
      await Promise.all(served);
      const status = await registry.findRollout(ROLLOUT);
      if (!status) throw new Error('the registry knows nothing of the rollout');
      return status;
    },
    async bringBackRest() {
      const away = sites.filter((site) => site.kind === 'dark-after');
      for (const queue of new Set(away.map(queueOf))) await lane.fleet.serve(queue);
      for (const { id } of away) lane.fleet.connect(id);
    },
    async close() {
      lane.control.forget(STREAM);
      await registry.close();
    },
  };
}

interface Parts {
  stand: Stand;
  lane: Lane;
  project: SeedProject;
  registry: Registry;
  simulated: Map<string, SimulatedSite>;
}

async function addSite(
  { id, kind }: ScriptedSite,
  { stand, lane, project, registry, simulated }: Parts,
): Promise<void> {
  const before = { version: VERSIONS.before, digest: project.digests[VERSIONS.before] ?? '' };
  const waits = { stageMs: 20, switchMs: 20, watchMs: 150, undoMs: 30, laterMs: 0 };
  const script = {
    fates: { [VERSIONS.main]: kind === 'reverting' ? ('revert' as const) : ('confirm' as const) },
    ...waits,
  };
  const identity = { site: id, stream: STREAM, confirmed: [before, OLDER] };
  const site = new SimulatedSite(identity, script, stand.keys.publicPem);
  let flaps = kind === 'flapping' ? FLAPS : 0;
  lane.fleet.add(id, site, () => (flaps-- > 0 ? 'fail-after' : undefined));
  simulated.set(id, site);
  await registry.recordReport(await site.report(), Date.now());
  if (!kind.startsWith('dark')) lane.fleet.connectWhenNeeded(id);
}

const begun = new Map<string, Promise<void>>();

/** Those that come back during the rollout do so some time after their wave has begun, all of a part together. */
function serveDuring(site: ScriptedSite, lane: Lane, simulated: Map<string, SimulatedSite>): Promise<void> {
  const queue = `dark-during-${site.part}`;
  if (site.kind === 'dark-during' || site.kind === 'dark-after') return Promise.resolve();
  return new Promise((resolve) => {
    const listening = simulated.get(site.id)?.onEvent(() => {
      listening?.();
      const known = begun.get(queue);
      const serving = known ?? sleep(BACK_AFTER_MS).then(() => lane.fleet.serve(queue));
      begun.set(queue, serving);
      resolve(serving);
    });
  });
}

function fleetOf(sites: ScriptedSite[]) {
  return {
    apiVersion,
    kind: 'Fleet',
    linkClasses: { quick: { settleWithin: '30s', startWithin: '1s', heartbeat: '8s' } },
    defaults: { link: 'quick', streams: [STREAM] },
    sites: sites.map((site) => ({ id: site.id, risk: site.risk, queue: queueOf(site) })),
  };
}

const metric = { name: 'errors', query: GATE_QUERY, pass: 'result < 0.01', window: '100ms', interval: '100ms' };
const STRATEGY_FILE = {
  apiVersion,
  kind: 'Strategy',
  name: STRATEGY,
  owner: 'sweep',
  defaults: { gate: 'health', soak: '1s', concurrency: 100, budget: { failed: '10%', owed: '20%' } },
  stages: [
    { name: 'canary', select: { risk: 'low' } },
    { name: 'second', select: { risk: 'medium' } },
    { name: 'rest' },
  ],
  onInconclusive: { within: '10s', then: 'stay' },
  gates: { health: { metrics: [{ ...metric, count: 2, failureLimit: 0, consecutiveErrorLimit: 20 }] } },
};
