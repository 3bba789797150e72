/** The files of the bench: one strategy of one stage without a gate, a fleet of equal sites, releases that do nothing. */
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { Command } from '../../policies/model/command.js';
import type { ReleaseRef } from '../../policies/model/release.js';
import { publishRelease } from '../../records/depot/publish.js';

export const STREAM = 'settings';
export const STRATEGY = 'sweep';
const apiVersion = 'foothold/v1';

export interface SweepProject {
  path: string;
  depot: string;
  registry: string;
  publicKeyPem: string;
  privateKeyPem: string;
}

/** `others`: more strategies by name, with what differs in their defaults. */
export function writeProject(
  directory: string,
  sites: string[],
  window: number,
  depotUrl: string,
  others: Record<string, Record<string, unknown>> = {},
): SweepProject {
  mkdirSync(join(directory, 'strategies'), { recursive: true });
  const write = (name: string, content: unknown) => writeFileSync(join(directory, name), stringify(content));
  write('foothold.yaml', { apiVersion, kind: 'Project', depot: { write: 'depot/', read: depotUrl } });
  write('fleet.yaml', {
    apiVersion,
    kind: 'Fleet',
    defaults: { risk: 'low', link: 'fibre', streams: [STREAM] },
    sites: sites.map((id) => ({ id })),
  });
  for (const [name, differs] of Object.entries({ [STRATEGY]: {}, ...others })) {
    const reached = { gate: 'none', because: 'the bench measures how fast sites are reached', soak: '0s' };
    const defaults = {
      ...reached,
      concurrency: window,
      settleWithin: '10m',
      budget: { failed: 0, owed: 0 },
      ...differs,
    };
    const strategy = { apiVersion, kind: 'Strategy', name, owner: 'bench', defaults, stages: [{ name: 'all' }] };
    write(`strategies/${name}.yaml`, strategy);
  }
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const privateKeyPem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  writeFileSync(join(directory, 'control.key'), privateKeyPem, { mode: 0o600 });
  return {
    path: join(directory, 'foothold.yaml'),
    depot: join(directory, 'depot'),
    registry: `sqlite:${join(directory, 'registry.db')}`,
    publicKeyPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    privateKeyPem,
  };
}

/**
 * One component with one small file, and no check: what is left is the agent's own work. The programs are never run,
 * the fleet's driver stands in for `exec`.
 */
export async function publishVersion(directory: string, depot: string, version: string) {
  const release = join(directory, 'releases', version);
  mkdirSync(join(release, 'files'), { recursive: true });
  writeFileSync(join(release, 'files', 'settings'), `version=${version}\n`);
  const programs = Object.fromEntries(['apply', 'verify', 'revert', 'save'].map((name) => [name, ['never-run']]));
  const content = {
    ...{ apiVersion, kind: 'Release', stream: STREAM, version, first: true },
    driver: { type: 'exec', files: './files', ...programs },
    checks: 'none',
    because: 'the driver does nothing',
    confirm: { within: '10m', healthyFor: '0s' },
  };
  writeFileSync(join(release, 'release.yaml'), stringify(content));
  return publishRelease(release, depot);
}

export type Acked = Command['ackedThrough'];

/** A converge as the centre would issue it, for the floor whose sites do the agents' work. */
export function commandFor(of: {
  site: string;
  ref: ReleaseRef;
  generation: number;
  tries: number;
  /** Nothing, if not given. */
  acked?: Acked | undefined;
}): Command {
  const { site, ref, generation, acked = { epoch: 1, sequence: 0 } } = of;
  const now = Date.now();
  return {
    ...{ version: 1, id: `floor/${site}/${STREAM}/converge/${of.tries}`, rollout: 'floor', site, stream: STREAM },
    ...{ verb: 'converge', generation, try: of.tries, digest: ref.digest, releaseVersion: ref.version, vars: {} },
    ...{ planDigest: `sha256:${'0'.repeat(64)}`, issuedAt: now, switchBy: now + 600_000, allowed: false },
    ackedThrough: acked,
  };
}
