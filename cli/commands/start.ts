/** `start`: from files and names to a running rollout. What it imports or publishes first, it says. */
import type { Command } from 'commander';
import { MistakeError } from '../../policies/model/failure.js';
import type { RolloutRequest, RolloutStatus } from '../../policies/model/rollout.js';
import { EXIT, type Answer } from '../answer.js';
import type { Context } from '../context.js';
import type { Execute } from '../execute.js';
import { judgePlan, type JudgedPlan } from '../judge-plan.js';
import { operatorName } from '../operator.js';
import { planDifference, readPlanFile, type PlanFile, type PlanRequest } from '../plan-file.js';
import { headline } from '../render/headline.js';
import { indent } from '../render/table.js';
import { findRunningRollout } from '../rollouts.js';
import { begin, dryAnswer } from '../starting.js';
import { collect } from '../repeated.js';

export interface StartFlags {
  only: string[];
  watch?: boolean;
  by?: string;
  reason?: string;
  dryRun?: boolean;
  plan?: string;
  supersede?: string;
}

export function declareStart(program: Command, execute: Execute): void {
  program
    .command('start')
    .description('begin a rollout')
    .argument('[release]', 'stream@version in the depot, or a release directory (published first)')
    .argument('[strategy]', 'a name, or a file (imported first)')
    .option('--only <selector>', 'key=value[,value]; repeated: and', collect, [])
    .option('--watch', 'follow it to its end; exit code 0 if it was promoted')
    .option('--by <name>', 'who asks (default: FOOTHOLD_BY, else user@host)')
    .option('--reason <why>', 'goes into the evidence')
    .option('--dry-run', 'plan it and say what would be imported and begun; change nothing')
    .option('--plan <file>', 'exactly this plan, as foothold plan -o wrote it; refused if planning gives another now')
    .option('--supersede <rollout>', 'end this running rollout of the stream without an undo, and take its place')
    .action((release: string | undefined, strategy: string | undefined, flags: StartFlags, self: Command) =>
      execute(self, (context) => start(context, release, strategy, flags)),
    );
}

/** Exit code 1 if the rollout was refused; with `--watch` unless it was promoted. */
export async function start(
  context: Context,
  release: string | undefined,
  strategy: string | undefined,
  flags: StartFlags,
): Promise<Answer> {
  const file = flags.plan === undefined ? undefined : await readPlanFile(context.path(flags.plan));
  const meant = meantRequest(release, strategy, flags, file);
  if (meant.fleet !== undefined && context.flags.fleet === undefined) context.flags.fleet = meant.fleet;
  const judged = await judgePlan(context, meant.release, meant.strategy, meant.only);
  if (file && file.digest !== judged.frozen.plan.digest) return planChanged(context, file, judged);
  const superseded = flags.supersede === undefined ? undefined : await holderOf(context, flags.supersede, judged);
  const request = requestOf(context, judged, flags, superseded);
  const more = superseded === undefined ? {} : { supersedes: superseded.label };
  if (superseded) context.note(supersedeText(context, superseded));
  if (flags.dryRun === true) return dryAnswer(context, { judged, request, more });
  return begin(context, { judged, request, watch: flags.watch === true, more });
}

function meantRequest(
  release: string | undefined,
  strategy: string | undefined,
  flags: StartFlags,
  file: PlanFile | undefined,
): PlanRequest {
  if (release !== undefined && strategy !== undefined) return { release, strategy, only: flags.only };
  if (file === undefined) {
    throw new MistakeError(
      'BAD_ARGUMENT',
      'expected foothold start RELEASE STRATEGY; foothold start --help shows more',
    );
  }
  if (release !== undefined || flags.only.length > 0) {
    const message = 'expected foothold start --plan FILE alone, or with both RELEASE and STRATEGY and the same --only';
    throw new MistakeError('BAD_ARGUMENT', message);
  }
  if (file.request) return file.request;
  throw new MistakeError(
    'BAD_ARGUMENT',
    'expected a plan file that foothold plan -o wrote; this one does not say what was planned: add RELEASE and STRATEGY',
  );
}

function requestOf(
  context: Context,
  { release, strategy, only, frozen }: JudgedPlan,
  flags: StartFlags,
  superseded: RolloutStatus | undefined,
): RolloutRequest {
  return {
    release: `${release.ref.stream}@${release.ref.version}`,
    strategy: strategy.strategy.name,
    ...(only === undefined ? {} : { only }),
    by: operatorName(flags.by, context.io.env),
    ...(flags.reason === undefined ? {} : { reason: flags.reason }),
    // The rollout freezes the plan anew: what changes between here and there must not slip in.
    ...(flags.plan === undefined ? {} : { planDigest: frozen.plan.digest }),
    ...(superseded === undefined ? {} : { supersede: superseded.label }),
  };
}

/** Found out here, so that nothing is started; the rollout itself would be refused with the same code. */
function planChanged(context: Context, file: PlanFile, { frozen }: JudgedPlan): Answer {
  const difference = planDifference(file, frozen.plan);
  const detail = `planning gives ${frozen.plan.digest} now, the file has ${file.digest}`;
  const document = { kind: 'refused', code: 'PLAN_CHANGED', detail, difference };
  const head = `${context.paint('red', 'REFUSED')} · PLAN_CHANGED: ${detail}`;
  const text = `${head}\n${indent(difference.join('\n'))}\nnext: foothold plan RELEASE STRATEGY -o FILE, and look again`;
  return { exit: EXIT.no, document, text };
}

/** Throws MistakeError ROLLOUT_NOT_FOUND, NOTHING_RUNNING, or BAD_ARGUMENT for a rollout of another stream. */
async function holderOf(context: Context, reference: string, { release }: JudgedPlan): Promise<RolloutStatus> {
  const { rollout } = await findRunningRollout(context, reference);
  if (rollout.stream === release.ref.stream) return rollout;
  const message = `expected a rollout of ${release.ref.stream} to supersede, got ${rollout.label} of ${rollout.stream}`;
  throw new MistakeError('BAD_ARGUMENT', message);
}

function supersedeText(context: Context, superseded: RolloutStatus): string {
  const line = headline(superseded, { now: context.io.now(), paint: (_colour, text) => text });
  return `supersedes ${superseded.label}, which ends as it stands and undoes nothing: ${line.replace(/ · next: .*$/, '')}`;
}
