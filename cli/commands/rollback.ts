/** `rollback`: a new rollout to an earlier release that was verified here, by the strategy made for it. */
import type { Command } from 'commander';
import { matches, parseSelector } from '../../policies/cohort/selector.js';
import { MistakeError } from '../../policies/model/failure.js';
import type { RolloutRequest } from '../../policies/model/rollout.js';
import type { Registry } from '../../records/registry/registry.js';
import { EXIT, type Answer } from '../answer.js';
import { chooseEarlier, chooseNamed, type Earlier, type Promotion } from '../choose-earlier.js';
import type { Context } from '../context.js';
import type { Execute } from '../execute.js';
import { meantFleet } from '../inputs.js';
import { judgePlan } from '../judge-plan.js';
import { suggestions } from '../nearest.js';
import { operatorName, requireReason } from '../operator.js';
import { clock } from '../render/times.js';
import { begin, dryAnswer } from '../starting.js';
import { collect } from '../repeated.js';

export interface RollbackFlags {
  to?: string;
  only: string[];
  strategy: string;
  reason?: string;
  by?: string;
  watch?: boolean;
  dryRun?: boolean;
}

const STRATEGY = 'rollback';

export function declareRollback(program: Command, execute: Execute): void {
  program
    .command('rollback')
    .description('bring a stream back to an earlier release that was verified here')
    .argument('<stream>')
    .option('--to <version>', 'default: what was promoted before what is desired now')
    .option('--only <selector>', 'key=value[,value]; repeated: and', collect, [])
    .option('--strategy <strategy>', 'a name, or a file', STRATEGY)
    .option('--reason <why>', 'goes into the evidence; required')
    .option('--by <name>', 'who asks (default: FOOTHOLD_BY, else user@host)')
    .option('--watch', 'follow it to its end; exit code 0 if it was promoted')
    .option('--dry-run', 'say what it would go back to, and where; change nothing')
    .action((stream: string, flags: RollbackFlags, self: Command) =>
      execute(self, (context) => rollback(context, stream, flags)),
    );
}

/** Exit code 1 if there is nothing earlier, or the rollout is refused; with `--watch` unless it was promoted. */
export async function rollback(context: Context, stream: string, flags: RollbackFlags): Promise<Answer> {
  const reason = requireReason(flags.reason, 'rollback');
  const registry = await context.registry();
  const now = await desiredNow(context, registry, stream, flags.only);
  const promotions = await promotionsOf(registry, stream);
  const earlier =
    flags.to === undefined
      ? chooseEarlier(now, promotions, new Set((await registry.blocks(stream)).map(({ digest }) => digest)))
      : chooseNamed(now, flags.to, promotions);
  if (earlier.kind === 'none') return nothingEarlier(context, stream, earlier.because);

  const judged = await judgePlan(context, `${stream}@${earlier.to.version}`, flags.strategy, flags.only);
  const more = { from: now, to: judged.release.ref, promoted: earlier.promoted ?? null };
  context.note(sayFirst(context, stream, now, earlier));
  const request: RolloutRequest = {
    release: `${stream}@${judged.release.ref.version}`,
    strategy: judged.strategy.strategy.name,
    ...(judged.only === undefined ? {} : { only: judged.only }),
    by: operatorName(flags.by, context.io.env),
    reason,
  };
  if (flags.dryRun === true) return dryAnswer(context, { judged, request, more });
  return begin(context, { judged, request, watch: flags.watch === true, more });
}

interface DesiredNow {
  version: string;
  digest: string;
  label: string;
  since: number;
}

/** What was decided last for any of the sites that are meant. Throws MistakeError NOTHING_EARLIER if nothing ever was. */
async function desiredNow(context: Context, registry: Registry, stream: string, only: string[]): Promise<DesiredNow> {
  const selector = parseSelector(only);
  const { sites } = await meantFleet(context);
  const meant = sites.filter((site) => site.streams.includes(stream) && matches(selector, site)).map(({ id }) => id);
  const own = [...(await registry.desired(stream, meant)).values()];
  const whole = await registry.streamDesired(stream);
  const latest = [...own, ...(whole && only.length === 0 ? [whole] : [])].sort(
    (a, b) => b.generation - a.generation,
  )[0];
  if (latest) return { ...latest.release, label: latest.label, since: latest.since };
  throw new MistakeError(
    'NOTHING_EARLIER',
    `expected a stream that a release was promoted to, got ${stream}: nothing is desired of it${only.length > 0 ? ' at these sites' : ''}`,
    suggestions(stream, await registry.desiredStreams(), 'stream with a promoted release'),
  );
}

async function promotionsOf(registry: Registry, stream: string): Promise<Promotion[]> {
  const over = await registry.rollouts({ stream, running: false, limit: HISTORY });
  return over
    .filter(({ outcome }) => outcome === 'promoted')
    .map(({ label, release, updatedAt }) => ({ label, ...release, at: updatedAt }));
}

/** Rollouts looked through; beyond them a person names the version. */
const HISTORY = 1_000;

function nothingEarlier(context: Context, stream: string, because: string): Answer {
  const next = `foothold rollback ${stream} --to VERSION --reason …`;
  const text = `${context.paint('red', 'NOTHING TO GO BACK TO')} · NOTHING_EARLIER: ${because} · next: ${next}`;
  return { exit: EXIT.no, document: { kind: 'refused', code: 'NOTHING_EARLIER', detail: because, next: [next] }, text };
}

function sayFirst(
  context: Context,
  stream: string,
  now: DesiredNow,
  earlier: Extract<Earlier, { kind: 'found' }>,
): string {
  const at = (time: number): string => clock(time, context.io.now());
  const promoted = earlier.promoted
    ? `promoted ${at(earlier.promoted.at)} by ${earlier.promoted.label}`
    : 'published, and never promoted here';
  const skipped = earlier.skipped.length === 0 ? '' : `; passed over, because blocked: ${earlier.skipped.join(', ')}`;
  return `rollback of ${stream}: from ${now.version} (desired since ${at(now.since)} by ${now.label}) to ${earlier.to.version} (${promoted})${skipped}`;
}
