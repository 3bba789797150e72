/** `watch`: follows a rollout to its end, or until it is halted and only a person can move it. */
import type { Command } from 'commander';
import { MistakeError, WorldError } from '../../policies/model/failure.js';
import type { Plan } from '../../policies/model/plan.js';
import type { RolloutStatus } from '../../policies/model/rollout.js';
import type { Registry } from '../../records/registry/registry.js';
import { EXIT, type Answer } from '../answer.js';
import type { Context } from '../context.js';
import type { Execute } from '../execute.js';
import { pause } from '../io.js';
import { liveOf } from '../live.js';
import { motionOf } from '../motion.js';
import { headline } from '../render/headline.js';
import { rolloutText, stageTable } from '../render/rollout.js';
import { screenFor, type Screen } from '../render/screen.js';
import { clockWithSeconds } from '../render/times.js';
import { findRollout, queryStatus } from '../rollouts.js';
import { plain } from '../render/paint.js';

export function declareWatch(program: Command, execute: Execute): void {
  program
    .command('watch')
    .description('follow a rollout to its end; exit code 0 if it was promoted')
    .argument('[rollout]', 'its id, or the stream while only one runs (default: the only one that runs)')
    .action((reference: string | undefined, _flags: unknown, self: Command) =>
      execute(self, async (context) => watchRollout(context, reference ?? (await onlyRunning(context)))),
    );
}

async function onlyRunning(context: Context): Promise<string> {
  const registry = await context.registryIfHere();
  const running = (await registry?.rollouts({ running: true })) ?? [];
  const [only] = running;
  if (only && running.length === 1) return only.label;
  throw new MistakeError(
    running.length === 0 ? 'NOTHING_RUNNING' : 'ROLLOUT_AMBIGUOUS',
    `expected the id of a rollout, because ${running.length} are running`,
    running.map((rollout) => rollout.label),
  );
}

const EVERY = 1_000;
const LOOK_EVERY = 5_000;

/** Exit code 0 if promoted, 1 if it ended otherwise, is halted, or the watcher was interrupted (the rollout goes on). */
export async function watchRollout(context: Context, reference: string): Promise<Answer> {
  const found = await findRollout(context, reference);
  const screen = screenOf(context);
  const plan = (await found.registry?.frozenPlan(found.rollout.planDigest))?.plan;
  const watched: Watched = { registry: found.registry, plan };
  let rollout = found.rollout;
  let looked = 0;
  for (;;) {
    await draw(context, screen, rollout, watched);
    if (rollout.state === 'sealed' || rollout.outcome === 'halted') break;
    if (context.io.interrupted.aborted) return left(context, rollout);
    await pause(EVERY, context.io.interrupted);
    rollout = (await again(context, rollout, found.registry)) ?? rollout;
    if (rollout.state !== 'sealed' && context.io.now() - looked > LOOK_EVERY) {
      looked = context.io.now();
      const motion = await motionOf(context, rollout);
      if (motion.kind !== 'closed' && motion.kind !== 'not-found') continue;
      // The seal may have come between the two looks: the record is read once more before it is disbelieved.
      await pause(2 * EVERY, context.io.interrupted);
      rollout = (await again(context, rollout, found.registry)) ?? rollout;
      if (rollout.state !== 'sealed') return unsealed(rollout, motion);
    }
  }
  return ended(context, rollout, found.registry);
}

/** The status now; undefined while it cannot be read, which is shown and tried again. */
async function again(context: Context, last: RolloutStatus, registry: Registry | undefined) {
  try {
    if (registry) return await registry.findRollout(last.firstRunId);
    const status = await queryStatus(await context.temporal(), last.workflowId);
    return status === 'unknown workflow' ? undefined : status;
  } catch (error) {
    if (!(error instanceof WorldError)) throw error;
    context.note(`cannot see ${last.label} now, trying again: ${error.message}`);
    return undefined;
  }
}

/** `plan` of the rollout, read once: its waves do not change. */
interface Watched {
  registry: Registry | undefined;
  plan: Plan | undefined;
}

async function draw(
  context: Context,
  screen: Screen,
  rollout: RolloutStatus,
  { registry, plan }: Watched,
): Promise<void> {
  const now = context.io.now();
  const live = registry ? await liveOf(registry, rollout, plan) : undefined;
  const seen = live?.rollout ?? rollout;
  const line = headline(seen, { now, paint: plain }).replace(/ · next: .*$/, '');
  const more = live ? { of: live.problems.of, waves: live.waves } : {};
  const block = rolloutText(seen, live?.problems.first ?? [], { now, paint: context.paint }, more);
  screen.show(clockWithSeconds(now), line, block);
}

function screenOf(context: Context): Screen {
  const { io } = context;
  const write = (text: string): void => {
    if (context.flags.json === true) io.err(text);
    else io.out(text);
  };
  return screenFor(write, context.live, io.columns);
}

/** The last line says how it ended, also where the picture above it has scrolled away. */
async function ended(context: Context, rollout: RolloutStatus, registry?: Registry): Promise<Answer> {
  const exit = rollout.outcome === 'promoted' ? EXIT.done : EXIT.no;
  if (context.flags.json === true) {
    return { exit, document: { rollout, sites: (await registry?.siteRows(rollout.firstRunId)) ?? [] }, text: '' };
  }
  const last = headline(rollout, { now: context.io.now(), paint: context.paint });
  const text = context.live ? `\n${last}` : `\n${stageTable(rollout.stages)}`;
  return { exit, document: null, text };
}

function unsealed(rollout: RolloutStatus, motion: { kind: 'closed'; status: string } | { kind: 'not-found' }): Answer {
  const last = `last recorded: ${rollout.state}`;
  if (motion.kind === 'closed') {
    const text = `${motion.status} in Temporal, before the rollout was sealed; the sites finish alone · ${last}`;
    return { exit: EXIT.no, document: { rollout, temporal: motion.status }, text };
  }
  const next = `if this Temporal was made anew: foothold abort ${rollout.label} --lost --reason …`;
  const text = `Temporal answered, and has no workflow ${rollout.workflowId} · ${last} · next: ${next}`;
  return { exit: EXIT.no, document: { rollout, temporal: null }, text };
}

function left(context: Context, rollout: RolloutStatus): Answer {
  context.note(`stopped watching; the rollout goes on · next: foothold status ${rollout.label}`);
  return { exit: EXIT.no, document: { rollout, interrupted: true }, text: '' };
}
