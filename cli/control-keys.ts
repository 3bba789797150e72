/** The control keys as the command line needs them: those that sign, and the keyset that sites are to have. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { KEYSET_PATH, SignedKeyset, type ControlKeys, type Keyset } from '../policies/model/enrolment.js';
import { MistakeError } from '../policies/model/failure.js';
import { nextVersion } from '../policies/signing/judge-rotation.js';
import { claimedKeyset, keyIdOf, openKeyset, publicHalf, signKeyset } from '../policies/signing/keyset.js';
import { readControlKey, readSigningKeys, type ControlKey } from '../records/files/control-keys.js';
import { placeFile } from '../records/depot/durable.js';
import type { Registry } from '../records/registry/registry.js';
import type { Context } from './context.js';
import { operatorName } from './operator.js';

export interface CentreKeys {
  /** Of the private key now; its `.next` beside it is that of a rotation. */
  path: string;
  signers: ControlKey[];
  known: ControlKeys;
}

/** Throws MistakeError CONTROL_KEY: only where the control worker's key is, and is the one in force, can this be done. */
export async function centreKeys(context: Context, registry: Registry): Promise<CentreKeys> {
  const { controlKey: path } = await context.project();
  const known = await registry.controlKeys();
  return { path, signers: await readSigningKeys(path, known), known };
}

/** The latest keyset; makes the first one, of the one key that there is. */
export async function keysetNow(context: Context, registry: Registry, keys: CentreKeys): Promise<SignedKeyset> {
  if (keys.known.keyset) return keys.known.keyset.envelope;
  const now = context.io.now();
  const pems = keys.signers.map(({ privatePem }) => privatePem);
  const version = await versionToCome(context, registry, keys.known);
  const keyset = signKeyset(version, pems.map(publicHalf), pems, now);
  await registry.stepKeys({ after: 0, keyset, by: operatorName(undefined, context.io.env) }, now);
  return keyset;
}

/** Beyond what the registry, the depot and any site has: a registry that was lost or put back knows less than they do. */
export async function versionToCome(context: Context, registry: Registry, { keyset }: ControlKeys): Promise<number> {
  const published = claimedKeyset(await publishedKeyset(context));
  const reported = [...(await registry.reports()).values()].map(({ report }) => report.keyset?.version ?? 0);
  return nextVersion([keyset?.version ?? 0, published?.version ?? 0], reported);
}

/** Where sites without a command find it. Repeated by every step, so that none is lost by a crash; never gone back over. */
export async function publishKeyset(context: Context, keyset: SignedKeyset): Promise<string> {
  const path = join(await context.depotToWrite(), KEYSET_PATH);
  const [there, own] = [claimedKeyset(await publishedKeyset(context)), claimedKeyset(keyset)];
  if (there && own && there.version > own.version) {
    const message = `expected no keyset above ${own.version} at ${path}, got ${there.version}: the registry is older than the depot`;
    throw new MistakeError('KEYSET_REFUSED', message, ['to take it back into the registry: foothold keys recover']);
  }
  await placeFile(path, async (file) => file.writeFile(`${JSON.stringify(keyset)}\n`));
  return path;
}

/** What the depot holds, proven by nobody; undefined where there is none, or no directory to look into. */
async function publishedKeyset(context: Context): Promise<unknown> {
  try {
    return JSON.parse(await readFile(join(await context.depotToWrite(), KEYSET_PATH), 'utf8')) as unknown;
  } catch (error) {
    const absent = error instanceof MistakeError || (error as NodeJS.ErrnoException).code === 'ENOENT';
    if (absent || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/**
 * After the registry was put back to before a rotation that has ended: the depot's keyset, if it is later, is of the one
 * control key that is here, and is signed by it. Throws MistakeError CONTROL_KEY, KEYSET_REFUSED, ROTATION_STEP.
 */
export async function recoverKeyset(context: Context, registry: Registry): Promise<Keyset> {
  const { controlKey: path } = await context.project();
  const key = await readControlKey(path);
  const known = await registry.controlKeys();
  const published = await publishedKeyset(context);
  const keyset = openKeyset(published, [publicHalf(key.privatePem)]);
  const after = known.keyset?.version ?? 0;
  const [only, ...more] = keyset?.keys.map(({ pem }) => keyIdOf(pem)) ?? [];
  if (keyset === undefined || keyset.version <= after || only !== key.id || more.length > 0) {
    const got = claimedKeyset(published);
    const found = got ? `keyset ${got.version} of ${got.keys.map(({ id }) => id).join(', ')}` : 'none';
    const message = `expected a keyset above ${after} in the depot, of the control key ${key.id} alone and signed by it, got ${found}`;
    throw new MistakeError('KEYSET_REFUSED', message);
  }
  const now = context.io.now();
  const by = operatorName(undefined, context.io.env);
  const envelope = SignedKeyset.parse(published);
  await registry.stepKeys({ after, keyset: envelope, rotation: null, by }, now);
  return keyset;
}
