/** The files of a seed: fleet, strategy, three releases, a control key; and a registry that knows its sites. */
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { publishRelease } from '../../records/depot/publish.js';
import { GATE_QUERY } from './prometheus.js';
import { STAGES, VERSIONS, type SeedPlan } from './seed.js';

export const STRATEGY = 'sweep';
/** One queue for all sites that are always reached; a site that goes dark has its own. */
export const SHARED_QUEUE = 'sim';
const apiVersion = 'foothold/v1';
const CONTROL_KEY = 'control.key';
const DEPOT = { write: 'depot/', read: 'http://127.0.0.1:9/' };

export interface Keys {
  privatePem: string;
  publicPem: string;
}

export interface SeedProject {
  path: string;
  depot: string;
  registry: string;
  controlKey: string;
  /** By version. */
  digests: Record<string, string>;
}

export function makeKeys(): Keys {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  return {
    privatePem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    publicPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  };
}

/** Each seed has its own file of the one control key: it may be rotated. */
export async function writeSeed(directory: string, plan: SeedPlan, keys: Keys): Promise<SeedProject> {
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, CONTROL_KEY), keys.privatePem, { mode: 0o600 });
  return writeProject(directory, { stream: plan.stream, fleet: fleetOf(plan), strategy: strategyOf(plan) });
}

/** The project, the releases of the stream in `VERSIONS`, and where the registry will be. */
export async function writeProject(
  directory: string,
  { stream, fleet, strategy }: { stream: string; fleet: object; strategy: object },
): Promise<SeedProject> {
  mkdirSync(join(directory, 'strategies'), { recursive: true });
  const write = (name: string, content: unknown) => writeFileSync(join(directory, name), stringify(content));
  write('foothold.yaml', { apiVersion, kind: 'Project', depot: DEPOT, controlKey: CONTROL_KEY });
  write('fleet.yaml', fleet);
  write(join('strategies', `${STRATEGY}.yaml`), strategy);
  const depot = join(directory, 'depot');
  const digests: Record<string, string> = {};
  for (const version of Object.values(VERSIONS)) digests[version] = await publish(directory, depot, stream, version);
  return {
    path: join(directory, 'foothold.yaml'),
    depot,
    registry: `sqlite:${join(directory, 'registry.db')}`,
    controlKey: join(directory, CONTROL_KEY),
    digests,
  };
}

function fleetOf({ stream, sites }: SeedPlan) {
  return {
    apiVersion,
    kind: 'Fleet',
    linkClasses: { quick: { settleWithin: '2500ms', startWithin: '600ms', heartbeat: '4s' } },
    defaults: { link: 'quick', streams: [stream] },
    sites: sites.map(({ id, risk, dark, group }) => ({
      id,
      risk,
      ...(dark ? {} : { queue: SHARED_QUEUE }),
      ...(group === undefined ? {} : { redundancyGroup: group }),
    })),
  };
}

function strategyOf({ onFailure, thenInconclusive }: SeedPlan) {
  const metric = { name: 'errors', query: GATE_QUERY, pass: 'result < 0.01', window: '100ms', interval: '100ms' };
  return {
    apiVersion,
    kind: 'Strategy',
    name: STRATEGY,
    owner: 'sweep',
    defaults: { gate: 'health', soak: '500ms', concurrency: 3, budget: { failed: 0, owed: '34%' } },
    stages: [
      { name: STAGES.low, select: { risk: 'low' } },
      { name: STAGES.medium, select: { risk: 'medium' }, budget: { failed: 1, owed: '34%' } },
      { name: STAGES.high, waves: ['50%', '100%'] },
    ],
    onFailure,
    onInconclusive: { within: '2s', then: thenInconclusive },
    gates: { health: { metrics: [{ ...metric, count: 2, failureLimit: 0, consecutiveErrorLimit: 12 }] } },
  };
}

async function publish(directory: string, depot: string, stream: string, version: string): Promise<string> {
  const release = join(directory, 'releases', version);
  mkdirSync(join(release, 'files'), { recursive: true });
  writeFileSync(join(release, 'files', 'settings'), `version=${version}\n`);
  const content = {
    ...{ apiVersion, kind: 'Release', stream, version },
    driver: { type: 'directory', files: './files', target: '/nowhere' },
    checks: 'none',
    because: 'the sites are simulated',
    confirm: { within: '10m', healthyFor: '0s' },
  };
  writeFileSync(join(release, 'release.yaml'), stringify(content));
  return (await publishRelease(release, depot)).ref.digest;
}
