/** `freeze` and `unfreeze`: no new switch by anything, until a time. In the registry alone, so it works with Temporal down. */
import type { Command } from 'commander';
import { matches, parseSelector, writeSelector } from '../../policies/cohort/selector.js';
import { MistakeError } from '../../policies/model/failure.js';
import type { Freeze } from '../../policies/model/debt.js';
import { FURTHEST, parseDuration } from '../../policies/model/duration.js';
import type { Selector } from '../../policies/model/strategy.js';
import { EXIT, done, type Answer } from '../answer.js';
import type { Context } from '../context.js';
import type { Execute } from '../execute.js';
import { meantFleet } from '../inputs.js';
import { operatorName, requireReason } from '../operator.js';
import { freezeLine } from '../render/freeze.js';
import { indent } from '../render/table.js';
import { collect } from '../repeated.js';
import { askBack, askedBackText } from '../withdraw.js';

export interface FreezeFlags {
  only: string[];
  until?: string;
  reason?: string;
  by?: string;
  dryRun?: boolean;
  list?: boolean;
}

export function declareFreeze(program: Command, execute: Execute): void {
  program
    .command('freeze')
    .description('no new switch at these sites, by anything, until a time; an undo never waits')
    .option('--only <selector>', 'key=value[,value]; repeated: and (default: every site)', collect, [])
    .option('--until <time>', 'such as 2026-12-27T06:00:00Z, or a duration from now such as 8h; required')
    .option('--reason <why>', 'shown wherever it holds something up; required')
    .option('--by <name>', 'who asks (default: FOOTHOLD_BY, else user@host)')
    .option('--list', 'only show what is in force')
    .option('--dry-run', 'say what would be frozen, and freeze nothing')
    .action((flags: FreezeFlags, self: Command) => execute(self, (context) => freeze(context, flags)));
  program
    .command('unfreeze')
    .description('lift the freezes that were made with the same --only')
    .option('--only <selector>', 'as it was frozen (default: the freezes of every site)', collect, [])
    .option('--reason <why>', 'kept with the freeze; required')
    .option('--by <name>', 'who asks (default: FOOTHOLD_BY, else user@host)')
    .option('--dry-run', 'say what would be lifted, and lift nothing')
    .action((flags: FreezeFlags, self: Command) => execute(self, (context) => unfreeze(context, flags)));
}

/**
 * `{ freeze?, sites, inForce, withdrawal? }`: what was added, how many active sites it selects, all that is in force now, and
 * of how many commands under way the return was asked for.
 */
export async function freeze(context: Context, flags: FreezeFlags): Promise<Answer> {
  const now = context.io.now();
  if (flags.list === true) {
    const inForce = await (await context.registry()).freezes(now);
    return done({ inForce }, inForceText(context, inForce));
  }
  const reason = requireReason(flags.reason, 'freeze');
  const only = selectorOf(flags.only);
  const wanted = { until: untilOf(flags.until, now), by: operatorName(flags.by, context.io.env), reason, at: now };
  const draft = { ...wanted, ...(only === undefined ? {} : { only }) };
  const sites = await selectedSites(context, only);
  const registry = await context.registry();
  if (flags.dryRun === true) {
    const line = freezeLine({ ...draft, id: 'would freeze' }, now);
    return done(
      { freeze: draft, sites, inForce: await registry.freezes(now), dryRun: true },
      `${line} (${sites} sites)`,
    );
  }
  const made = await registry.putFreeze(draft);
  const inForce = await registry.freezes(now);
  const withdrawal = await askBack(context, made.id);
  const head = `${context.paint('green', 'frozen')} · ${sites} active sites\n${askedBackText(withdrawal)}`;
  return done({ freeze: made, sites, inForce, withdrawal }, `${head}\n${inForceText(context, inForce)}`);
}

/** `{ lifted, inForce }`; exit code 1 if there was nothing to lift. */
export async function unfreeze(context: Context, flags: FreezeFlags): Promise<Answer> {
  const now = context.io.now();
  const reason = requireReason(flags.reason, 'unfreeze');
  const only = selectorOf(flags.only);
  const registry = await context.registry();
  const inForceBefore = await registry.freezes(now);
  const meant = inForceBefore.filter((one) => onlyText(one.only) === onlyText(only));
  if (flags.dryRun === true && meant.length > 0) return dryUnfreeze(context, inForceBefore, meant);
  const dry = flags.dryRun === true;
  const lifted = dry
    ? []
    : await registry.liftFreezes(only, { at: now, by: operatorName(flags.by, context.io.env), reason });
  const inForce = await registry.freezes(now);
  if (lifted.length === 0) {
    const text = `nothing ${dry ? 'would be' : 'was'} lifted: no freeze in force has ${onlyText(only)}\n${inForceText(context, inForce)}`;
    return { exit: EXIT.no, document: { lifted, inForce, ...(dry && { dryRun: true }) }, text };
  }
  const lines = lifted.map((one) => freezeLine(one, now)).join('\n');
  return done(
    { lifted, inForce },
    `${context.paint('green', 'lifted')}\n${indent(lines)}\n${inForceText(context, inForce)}`,
  );
}

function dryUnfreeze(context: Context, inForce: Freeze[], same: Freeze[]): Answer {
  const lines = same.map((one) => freezeLine(one, context.io.now()));
  return done({ wouldLift: same, inForce, dryRun: true }, `would lift\n${indent(lines.join('\n'))}`);
}

function selectorOf(terms: string[]): Selector | undefined {
  return terms.length === 0 ? undefined : parseSelector(terms);
}

function onlyText(only: Selector | undefined): string {
  return only === undefined ? 'no --only' : `--only ${writeSelector(only)}`;
}

/** Epoch ms. Throws MistakeError BAD_ARGUMENT for what is no time, has no zone, or lies behind. */
export function untilOf(written: string | undefined, now: number): number {
  const form = 'expected --until as a time with its zone, such as 2026-12-27T06:00:00Z, or as a duration such as 8h';
  if (written === undefined)
    throw new MistakeError('BAD_ARGUMENT', `${form}; got none: a freeze without an end is forgotten`);
  const duration = parseDuration(written);
  // Without a zone a time means another instant on another machine.
  const isTime = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2})$/.test(written);
  const until = duration === undefined ? (isTime ? Date.parse(written) : Number.NaN) : now + duration;
  if (Number.isNaN(until)) throw new MistakeError('BAD_ARGUMENT', `${form}; got ${written}`);
  if (until > now + FURTHEST)
    throw new MistakeError('BAD_ARGUMENT', `expected --until within ten years, got ${written}`);
  if (until > now) return until;
  throw new MistakeError('BAD_ARGUMENT', `expected --until to lie ahead, got ${new Date(until).toISOString()}`);
}

/** Active sites that it selects. Throws MistakeError SELECTOR_EMPTY: a typing error would freeze nothing, and look done. */
async function selectedSites(context: Context, only: Selector | undefined): Promise<number> {
  const { sites } = await meantFleet(context);
  const active = sites.filter((site) => site.state === 'active' && (only === undefined || matches(only, site)));
  if (active.length > 0 || only === undefined) return active.length;
  throw new MistakeError(
    'SELECTOR_EMPTY',
    `expected --only to match an active site, got none for ${writeSelector(only)}`,
  );
}

function inForceText(context: Context, inForce: Freeze[]): string {
  if (inForce.length === 0) return 'no freeze is in force';
  const lines = inForce.map((one) => freezeLine(one, context.io.now()));
  return `in force: no new switch; an undo never waits\n${indent(lines.join('\n'))}`;
}
