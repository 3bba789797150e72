/** What commands are signed with, and the control keys that they bring to sites (docs/decisions/0003). */
import type { Command, Envelope } from '../../policies/model/command.js';
import type { SignedKeyset } from '../../policies/model/enrolment.js';
import { signCommand } from '../../policies/signing/dsse.js';
import { readSigningKeys } from '../../records/files/control-keys.js';
import type { Registry } from '../../records/registry/registry.js';
import type { ControlDeps } from './deps.js';

export interface Signing {
  privatePems: string[];
  keyset?: SignedKeyset;
}

/** What was read last, for an undo that cannot wait for the registry. */
const remembered = new WeakMap<Registry, Signing>();

/** Read anew for every page: a step of a rotation needs no restart of the worker. */
export async function readSigning(deps: ControlDeps): Promise<Signing> {
  const known = await deps.registry.controlKeys();
  const { keyset } = known;
  const { controlKeyPath } = deps;
  const privatePems =
    controlKeyPath === undefined
      ? [deps.controlKeyPem]
      : (await readSigningKeys(controlKeyPath, known)).map(({ privatePem }) => privatePem);
  const signing = { privatePems, ...(keyset && { keyset: keyset.envelope }) };
  remembered.set(deps.registry, signing);
  return signing;
}

export function rememberedSigning(deps: ControlDeps): Signing {
  return remembered.get(deps.registry) ?? { privatePems: [deps.controlKeyPem] };
}

/** Signed by every key that some site may still rely on alone. */
export function signFor({ privatePems, keyset }: Signing, command: Command): Envelope {
  return signCommand(keyset ? { ...command, keyset } : command, ...privatePems);
}
