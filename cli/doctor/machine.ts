/** What doctor looks at on this machine: Node, files, key, registry, programs. */
import { createPrivateKey } from 'node:crypto';
import { access, constants, readFile, stat } from 'node:fs/promises';
import process from 'node:process';
import semver from 'semver';
import { keyId } from '../../policies/signing/dsse.js';
import type { ControlKeys } from '../../policies/model/enrolment.js';
import { readSigningKeys } from '../../records/files/control-keys.js';
import type { Context } from '../context.js';
import { examine, missing, ok, warning, type Examined } from './examined.js';

const NODE = '>=20.20.0';

export function probeNode(version = process.versions.node): Examined[] {
  const fits = semver.satisfies(version, NODE);
  return [fits ? ok('node', version) : missing('node', `expected ${NODE}, got ${version}`, 'install a newer Node.js')];
}

export async function probeFiles(context: Context): Promise<Examined[]> {
  const project = await examine(
    'project',
    async () => {
      await context.project();
      return [ok('project', context.projectPath())];
    },
    'foothold init',
  );
  if (project.some((one) => one.result === 'missing')) return project;
  const fleet = await examine('fleet', async () => {
    const { sites } = await context.fleet();
    const count = `${sites.length} sites in ${await context.fleetPath()}`;
    return [sites.length > 0 ? ok('fleet', count) : warning('fleet', count, 'write your sites into the fleet file')];
  });
  const strategies = await examine('strategies', async () => {
    const { loadStrategies } = await import('../../records/files/strategy-file.js');
    const directory = (await context.project()).strategies;
    const names = [...(await loadStrategies(directory)).keys()];
    return [names.length > 0 ? ok('strategies', names.join(', ')) : warning('strategies', `none in ${directory}`)];
  });
  return [...project, ...fleet, ...strategies];
}

/** `known`: the registry's keyset, if a registry is here; a key that sites do not trust signs for nobody. */
export async function probeControlKey(
  path: string,
  known?: () => Promise<ControlKeys | undefined>,
): Promise<Examined[]> {
  return examine(
    'control key',
    async () => {
      const key = createPrivateKey(await readFile(path, 'utf8'));
      if (key.asymmetricKeyType !== 'ed25519') {
        return [
          missing(
            'control key',
            `expected an Ed25519 key in ${path}, got ${key.asymmetricKeyType ?? 'none'}`,
            'foothold init makes one',
          ),
        ];
      }
      const mode = (await stat(path)).mode & 0o777;
      if ((mode & 0o077) !== 0) {
        return [missing('control key', `others may read ${path} (mode ${mode.toString(8)})`, `chmod 600 ${path}`)];
      }
      const keys = await known?.().catch(() => undefined);
      if (keys) {
        const unfit = await examine('control key', async () => (await readSigningKeys(path, keys), []), FITTING);
        if (unfit.length > 0) return unfit;
      }
      return [ok('control key', `${keyId(key)}, mode ${mode.toString(8)}`)];
    },
    'foothold init makes one',
  );
}

const FITTING = 'bring back the control key that is named, or see docs/playbooks/CONTROL_KEY.md';

export async function probeRegistry(context: Context): Promise<Examined[]> {
  return examine('registry', async () => {
    const registry = await context.registryIfHere();
    const url = await context.registryUrl();
    if (!registry) return [warning('registry', `${url} is not there yet`, 'foothold worker run makes it')];
    const rollouts = await registry.rollouts({ limit: 1 });
    return [ok('registry', `${url} opens${rollouts[0] ? `, last rollout ${rollouts[0].label}` : ''}`)];
  });
}

export async function probeDepotDirectory(directory: string): Promise<Examined[]> {
  return examine(
    'depot write',
    async () => {
      await access(directory, constants.R_OK | constants.W_OK);
      return [ok('depot write', directory)];
    },
    `mkdir -p ${directory}`,
  );
}

const PROGRAMS = ['temporal', 'prometheus', 'nginx'] as const;

/** Only development and the demo start programs themselves: what is missing is a warning. */
export async function probePrograms(): Promise<Examined[]> {
  const { findProgram } = await import('../../infra/programs/find.js');
  const found: Examined[] = [];
  for (const name of PROGRAMS) {
    const what = `program ${name}`;
    try {
      found.push(ok(what, (await findProgram(name)).path));
    } catch (error) {
      found.push(warning(what, `only for the demo: ${error instanceof Error ? error.message : String(error)}`));
    }
  }
  return found;
}
