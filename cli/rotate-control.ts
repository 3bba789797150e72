/**
 * The steps of a rotation, each of which can be repeated after a crash. Begin: both keys are trusted and both sign. Switch:
 * sites are to trust the new key alone, both still sign. Finish: the new key alone signs.
 */
import { generateKeyPairSync } from 'node:crypto';
import { existsSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { KeyRotation, Keyset, SignedKeyset } from '../policies/model/enrolment.js';
import { WorldError } from '../policies/model/failure.js';
import { claimedKeyset, publicHalf, signKeyset } from '../policies/signing/keyset.js';
import { nextKeyPath, readControlKey, type ControlKey } from '../records/files/control-keys.js';
import { placeFile } from '../records/depot/durable.js';
import type { Registry } from '../records/registry/registry.js';
import type { Context } from './context.js';
import { centreKeys, publishKeyset, versionToCome } from './control-keys.js';
import { operatorName } from './operator.js';

export const STEPS = ['begin', 'switch', 'finish'] as const;
export type StepName = (typeof STEPS)[number];

export interface StepChoice {
  leftBehind: string[];
  compromised?: boolean;
  by?: string;
  /** Sites that trust no key by which the keyset of `begin` is signed. */
  stranded?: string[];
}
export interface Stepped {
  keyset?: Keyset;
  lines: string[];
}

export async function stepRotation(
  context: Context,
  registry: Registry,
  step: StepName,
  choice: StepChoice,
): Promise<Stepped> {
  if (step === 'begin') return begin(context, registry, choice);
  return step === 'switch' ? switchOver(context, registry, choice) : finish(context, registry, choice);
}

async function begin(context: Context, registry: Registry, choice: StepChoice): Promise<Stepped> {
  const { path, signers, known } = await centreKeys(context, registry);
  const [old] = signers as [ControlKey];
  // A key that an earlier attempt left behind is used: it may be backed up already.
  if (!existsSync(nextKeyPath(path))) await writeNewKey(nextKeyPath(path));
  const next = await readControlKey(nextKeyPath(path));
  const by = operatorName(choice.by, context.io.env);
  const now = context.io.now();
  const compromised = choice.compromised === true;
  const after = known.keyset?.version ?? 0;
  const trusted = compromised ? [next] : [old, next];
  const version = await versionToCome(context, registry, known);
  const keyset = signKeyset(version, trusted.map(publicOf), [old.privatePem, next.privatePem], now);
  const rotation: KeyRotation = {
    phase: compromised ? 'switched' : 'learning',
    oldKeyId: old.id,
    newKeyId: next.id,
    begunAt: now,
    by,
    leftBehind: choice.leftBehind,
  };
  await registry.stepKeys({ after, keyset, rotation, by }, now);
  const place = await publishKeyset(context, keyset);
  return told(keyset, [
    `made the new control key ${next.id} at ${nextKeyPath(path)}; back it up as you do ${path}`,
    `keyset ${version} is published at ${place}; commands are signed by ${old.id} and ${next.id} from now on`,
    compromised
      ? `sites are to trust ${next.id} alone; those that have not learned of it still believe ${old.id}`
      : `sites learn to trust both; then: foothold keys rotate-control switch`,
    ...lostLines(choice.stranded ?? []),
  ]);
}

/** A step that goes on without them must not be quiet about it: no command reaches such a site again. */
function lostLines(stranded: string[]): string[] {
  if (stranded.length === 0) return [];
  return [
    `these sites never reported a key that vouches for this keyset, and refuse every command unless they have one: ${stranded.join(', ')}`,
    'for each of them: foothold fleet replace SITE, and at the site foothold agent enrol … --trust-key ID',
  ];
}

async function switchOver(context: Context, registry: Registry, choice: StepChoice): Promise<Stepped> {
  const { signers, known } = await centreKeys(context, registry);
  const { rotation } = known;
  if (!rotation) throw new TypeError('a switch without a rotation was not refused');
  const next = signers.find(({ id }) => id === rotation.newKeyId);
  if (!next) throw new TypeError('the new key was not read');
  const now = context.io.now();
  const after = known.keyset?.version ?? 0;
  const version = await versionToCome(context, registry, known);
  const keyset = signKeyset(
    version,
    [publicOf(next)],
    signers.map(({ privatePem }) => privatePem),
    now,
  );
  const switched: KeyRotation = { ...rotation, phase: 'switched', leftBehind: joined(rotation, choice) };
  await registry.stepKeys({ after, keyset, rotation: switched, by: operatorName(choice.by, context.io.env) }, now);
  const place = await publishKeyset(context, keyset);
  return told(keyset, [
    `keyset ${version} with ${next.id} alone is published at ${place}`,
    `both keys sign until every site knows it; then: foothold keys rotate-control finish`,
  ]);
}

async function finish(context: Context, registry: Registry, choice: StepChoice): Promise<Stepped> {
  const { path, signers, known } = await centreKeys(context, registry);
  const { rotation, keyset } = known;
  if (!rotation || !keyset) throw new TypeError('a finish without a rotation was not refused');
  const now = context.io.now();
  const next = signers.find(({ id }) => id === rotation.newKeyId);
  if (!next) throw new TypeError('the new key was not read');
  // Again, in case the step before was cut short; then the key, and its end last: every part can be repeated.
  await publishKeyset(context, keyset.envelope);
  if (signers.length > 1) await takeOver(path);
  await placeFile(publicPathOf(path), async (file) => file.writeFile(publicOf(next)));
  const by = operatorName(choice.by, context.io.env);
  await registry.stepKeys({ after: keyset.version, rotation: null, by }, now);
  const left = joined(rotation, choice);
  return {
    lines: [
      `${next.id} is the control key now, at ${path}; ${rotation.oldKeyId} signs nothing more, and its file is gone`,
      'destroy the copies of the old key, and put control.pub of now where agent.yaml files are written by hand',
      ...(left.length === 0
        ? []
        : [
            `left behind, and still trusting ${rotation.oldKeyId} until they hear of it: ${left.join(', ')}`,
            'the next begin waits for them: it would leave them with no key that anybody signs by',
          ]),
    ],
  };
}

/** One rename: at every instant there is one control key at the path, the old one or the new one. */
async function takeOver(path: string): Promise<void> {
  try {
    await rename(nextKeyPath(path), path);
  } catch (error) {
    throw new WorldError('FILE_NOT_WRITTEN', `expected to rename ${nextKeyPath(path)} to ${path}, could not`, {
      cause: error,
    });
  }
}

async function writeNewKey(path: string): Promise<void> {
  const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  try {
    await writeFile(path, pem, { flag: 'wx', mode: 0o600 });
  } catch (error) {
    throw new WorldError('FILE_NOT_WRITTEN', `expected to write the new control key to ${path}, could not`, {
      cause: error,
    });
  }
}

function joined(rotation: KeyRotation, { leftBehind }: StepChoice): string[] {
  return [...new Set([...rotation.leftBehind, ...leftBehind])].sort();
}

const publicOf = ({ privatePem }: ControlKey): string => publicHalf(privatePem);
/** `control.key` → `control.pub`. */
const publicPathOf = (path: string): string =>
  join(dirname(path), `${path.replace(/^.*\//, '').replace(/\.key$/, '')}.pub`);

function told(keyset: SignedKeyset, lines: string[]): Stepped {
  const read = claimedKeyset(keyset);
  return { ...(read && { keyset: read }), lines };
}
