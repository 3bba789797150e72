/** `keys status` and `keys rotate-control`: from one control key to the next, with both in force in between. */
import type { Command } from 'commander';
import type { ControlKeys, KeyRotation, Keyset } from '../../policies/model/enrolment.js';
import { MistakeError } from '../../policies/model/failure.js';
import {
  judgeSiteKeys,
  missingSites,
  strandedSites,
  type KeysKnown,
  type SiteKeys,
} from '../../policies/signing/judge-rotation.js';
import { keysetOf } from '../../policies/signing/keyset.js';
import type { Registry } from '../../records/registry/registry.js';
import { done, type Answer } from '../answer.js';
import { recoverKeyset } from '../control-keys.js';
import type { Context } from '../context.js';
import type { Execute } from '../execute.js';
import { meantFleet } from '../inputs.js';
import { indent } from '../render/table.js';
import { clock } from '../render/times.js';
import { refuseUnknownSites } from '../selected.js';
import { STEPS, stepRotation, type StepName } from '../rotate-control.js';

export interface RotateFlags {
  leaveBehind?: string[];
  compromised?: boolean;
  by?: string;
  dryRun?: boolean;
}

export function declareKeys(program: Command, execute: Execute): void {
  const keys = program.command('keys').description('the control key, and which sites know which');
  keys
    .command('status')
    .description('which control keys sites are to trust, and which of them do')
    .action((_flags: object, self: Command) => execute(self, (context) => keysStatus(context)));
  keys
    .command('rotate-control')
    .description('one step from the control key to a new one; run it where the control worker’s key is')
    .argument('<step>', STEPS.join(', '))
    .option('--leave-behind <site...>', 'go on without these sites, which do not know the keys yet')
    .option('--compromised', 'at begin: others may have the old key; sites are not to trust it a step longer')
    .option('--by <name>', 'who asks (default: FOOTHOLD_BY, else user@host)')
    .option('--dry-run', 'say what would be done, and for which sites it would wait')
    .action((step: string, flags: RotateFlags, self: Command) =>
      execute(self, (context) => rotateControl(context, step, flags)),
    );
  keys
    .command('recover')
    .description('after the registry was put back: the keyset in the depot, which the control key signed, counts again')
    .action((_flags: object, self: Command) => execute(self, (context) => keysRecover(context)));
}

/** `{ keyset: { version, keys }, rotation, sites: { knows, behind, foreign }, missing, next }`. */
export async function keysStatus(context: Context): Promise<Answer> {
  const registry = await context.registry();
  const view = await viewOf(context, registry);
  const { known, keyset, sites } = view;
  const by = (word: KeysKnown): string[] =>
    sites.filter((one) => keyset !== undefined && judgeSiteKeys(one, keyset) === word).map(({ site }) => site);
  const groups = { knows: by('knows'), behind: keyset ? by('behind') : [], foreign: by('foreign') };
  const next = nextStep(known, strandedOf(view));
  const document = {
    keyset: keyset ? { version: keyset.version, keys: keyset.keys.map(({ id }) => id) } : null,
    rotation: known.rotation ?? null,
    sites: groups,
    next,
  };
  return done(document, statusText(context, view, groups, next));
}

/** `{ keyset: { version, keys } }`. Throws MistakeError KEYSET_REFUSED, CONTROL_KEY. */
export async function keysRecover(context: Context): Promise<Answer> {
  const { version, keys } = await recoverKeyset(context, await context.registry());
  const ids = keys.map(({ id }) => id);
  const text = `keyset ${version} of ${ids.join(', ')} is in the registry again; no rotation is under way`;
  return done({ keyset: { version, keys: ids } }, text);
}

export interface KeysView {
  known: ControlKeys;
  keyset: Keyset | undefined;
  /** Every site that is not retired. */
  sites: SiteKeys[];
}

async function viewOf(context: Context, registry: Registry): Promise<KeysView> {
  const known = await registry.controlKeys();
  const ids = (await meantFleet(context)).sites.filter((site) => site.state !== 'retired').map((site) => site.id);
  const reports = await registry.reports(ids);
  const sites = ids.map((site) => {
    const keyset = reports.get(site)?.report.keyset;
    return { site, ...(keyset && { keyset }) };
  });
  return { known, keyset: keysetOf(known), sites };
}

/** `{ step, keyset, waited: [], leftBehind, dryRun? }`. Throws MistakeError ROTATION_STEP, KEYS_NOT_KNOWN, CONTROL_KEY. */
export async function rotateControl(context: Context, written: string, flags: RotateFlags): Promise<Answer> {
  const step = STEPS.find((one) => one === written);
  if (step === undefined) {
    throw new MistakeError('BAD_ARGUMENT', `expected a step, one of ${STEPS.join(', ')}, got ${written}`);
  }
  const registry = await context.registry();
  const view = await viewOf(context, registry);
  refuseOutOfTurn(step, view.known.rotation, flags);
  const leftBehind = flags.leaveBehind ?? [];
  refuseUnknownSites(
    leftBehind,
    view.sites.map(({ site }) => site),
  );
  const stranded = step === 'begin' ? strandedOf(view) : [];
  const missing = missingFor(step, view, stranded, flags);
  if (missing.length > 0 && flags.dryRun !== true) throw notKnown(step, view.keyset, missing);
  if (flags.dryRun === true) {
    const waits = missing.length === 0 ? 'no site' : missing.join(', ');
    return done({ step, missing, leftBehind, dryRun: true }, `would ${step}; it waits for: ${waits}`);
  }
  const { keyset, lines } = await stepRotation(context, registry, step, { ...flags, leftBehind, stranded });
  const document = {
    step,
    keyset: keyset && { version: keyset.version, keys: keyset.keys.map(({ id }) => id) },
    leftBehind,
    ...(stranded.length > 0 && { stranded }),
  };
  return done(document, lines.join('\n'));
}

/** Without a keyset yet, sites trust what they pin, which is the key that is here. */
const strandedOf = ({ keyset, sites }: KeysView): string[] =>
  keyset === undefined ? [] : strandedSites(sites, keyset, new Set());

/** With the key in other hands, waiting is worse than sites to be visited: those are named instead. */
function missingFor(step: StepName, { keyset, sites }: KeysView, stranded: string[], flags: RotateFlags): string[] {
  const left = new Set(flags.leaveBehind ?? []);
  if (step !== 'begin') return keyset === undefined ? [] : missingSites(sites, keyset, left);
  return flags.compromised === true ? [] : stranded.filter((site) => !left.has(site));
}

function refuseOutOfTurn(step: StepName, rotation: KeyRotation | undefined, flags: RotateFlags): void {
  const expected = rotation === undefined ? 'begin' : rotation.phase === 'learning' ? 'switch' : 'finish';
  if (flags.compromised === true && step !== 'begin') {
    throw new MistakeError('BAD_ARGUMENT', 'expected --compromised at begin only: later steps go by how it began');
  }
  if (step === expected) return;
  const where = rotation === undefined ? 'no rotation is under way' : `the rotation is ${rotation.phase}`;
  throw new MistakeError('ROTATION_STEP', `expected the step ${expected}, got ${step}: ${where}`);
}

function notKnown(step: StepName, keyset: Keyset | undefined, missing: string[]): MistakeError {
  const message = `expected every site to know keyset ${keyset?.version ?? 0} before ${step}, ${missing.length} do not: ${missing.slice(0, 10).join(', ')}`;
  const without =
    step === 'begin'
      ? 'going on without them loses them: none of their keys would vouch for the next ones, and a token has to be carried there'
      : 'they learn later, as long as no further rotation begins';
  return new MistakeError('KEYS_NOT_KNOWN', message, [
    ...missing.map((site) => `${site}: has not reported that keyset`),
    `a site learns by its next command, or within the hour from its depot; ${without}: --leave-behind ${missing.join(' ')}`,
  ]);
}

function nextStep({ rotation }: ControlKeys, stranded: string[]): string {
  if (rotation === undefined && stranded.length > 0) return `wait for ${stranded.join(', ')}`;
  if (rotation === undefined) return 'foothold keys rotate-control begin';
  return `foothold keys rotate-control ${rotation.phase === 'learning' ? 'switch' : 'finish'}`;
}

function statusText(
  context: Context,
  { known, keyset, sites }: KeysView,
  groups: Record<KeysKnown, string[]>,
  next: string,
): string {
  if (keyset === undefined) {
    return `no keyset was made yet: ${sites.length} sites trust what their agent.yaml pins\nnext: ${next}`;
  }
  const now = context.io.now();
  const { rotation } = known;
  const lines = [
    `keyset ${keyset.version} of ${clock(keyset.issuedAt, now)}: ${keyset.keys.map(({ id }) => id).join(', ')}`,
    rotation
      ? `rotation from ${rotation.oldKeyId} to ${rotation.newKeyId}, ${rotation.phase}, begun ${clock(rotation.begunAt, now)} by ${rotation.by}`
      : 'no rotation is under way',
    `${groups.knows.length} of ${sites.length} sites know it`,
    ...(groups.behind.length === 0 ? [] : [`not yet:\n${indent(groups.behind.join('\n'))}`]),
    ...(groups.foreign.length === 0
      ? []
      : [
          context.paint(
            'red',
            `keys that this centre never made, look there at once:\n${indent(groups.foreign.join('\n'))}`,
          ),
        ]),
    ...(rotation && rotation.leftBehind.length > 0 ? [`left behind: ${rotation.leftBehind.join(', ')}`] : []),
    `next: ${next}`,
  ];
  return lines.join('\n');
}
