/** The control keys as the command line needs them: those that sign, and the keyset that sites are to have. */
import { join } from 'node:path';
import type { ControlKeys, SignedKeyset } from '../policies/model/enrolment.js';
import { KEYSET_PATH } from '../policies/model/enrolment.js';
import { publicHalf, signKeyset } from '../policies/signing/keyset.js';
import { readSigningKeys, type ControlKey } from '../records/files/control-keys.js';
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

/** Throws MistakeError CONTROL_KEY: only where the control worker's key is can this be done. */
export async function centreKeys(context: Context, registry: Registry): Promise<CentreKeys> {
  const { controlKey: path } = await context.project();
  const known = await registry.controlKeys();
  return { path, signers: await readSigningKeys(path, known.rotation), known };
}

/** The latest keyset; makes the first one, of the one key that there is. */
export async function keysetNow(context: Context, registry: Registry, keys: CentreKeys): Promise<SignedKeyset> {
  if (keys.known.keyset) return keys.known.keyset.envelope;
  const now = context.io.now();
  const pems = keys.signers.map(({ privatePem }) => privatePem);
  const keyset = signKeyset(1, pems.map(publicHalf), pems, now);
  await registry.stepKeys({ after: 0, keyset, by: operatorName(undefined, context.io.env) }, now);
  return keyset;
}

/** Where sites without a command find it. Repeated by every step, so that none is lost by a crash. */
export async function publishKeyset(context: Context, keyset: SignedKeyset): Promise<string> {
  const path = join(await context.depotToWrite(), KEYSET_PATH);
  await placeFile(path, async (file) => file.writeFile(`${JSON.stringify(keyset)}\n`));
  return path;
}
