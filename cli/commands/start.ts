/** `start`: from files and names to a running rollout. What it imports or publishes first, it says. */
import { randomBytes } from 'node:crypto';
import type { Command } from 'commander';
import { writeSelector } from '../../policies/cohort/selector.js';
import { MistakeError, WorldError } from '../../policies/model/failure.js';
import { TASK_QUEUE, type RolloutRequest } from '../../policies/model/rollout.js';
import { EXIT, done, type Answer } from '../answer.js';
import type { Context } from '../context.js';
import type { Execute } from '../execute.js';
import { importFiles, type Imported } from '../import-files.js';
import { judgePlan, type JudgedPlan } from '../judge-plan.js';
import { awaitBeginning } from '../beginning.js';
import { operatorName } from '../operator.js';
import { planDocument, planText } from '../render/plan.js';
import { headline } from '../render/rollout.js';
import { notAvailable } from './later.js';
import { collect } from './plan.js';
import { watchRollout } from './watch.js';

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
    .option('--plan <file>', 'not available yet')
    .option('--supersede <rollout>', 'not available yet')
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
  if (flags.plan !== undefined) return notAvailable('foothold start --plan');
  if (flags.supersede !== undefined) return notAvailable('foothold start --supersede');
  if (release === undefined || strategy === undefined) {
    throw new MistakeError(
      'BAD_ARGUMENT',
      'expected foothold start RELEASE STRATEGY; foothold start --help shows more',
    );
  }
  const judged = await judgePlan(context, release, strategy, flags.only);
  const request = requestOf(context, judged, flags);
  if (flags.dryRun === true) return dryAnswer(context, judged, request);

  // Before anything is written: a start that cannot happen must leave nothing behind.
  await context.temporal();
  const imports = await importFiles(context, judged);
  for (const { line } of imports) context.note(line);
  const workflowId = await startWorkflow(context, judged, request);
  context.note(`started ${workflowId}`);
  return flags.watch === true ? watchFrom(context, workflowId) : begunAnswer(context, workflowId, request, imports);
}

function requestOf(context: Context, { release, strategy, only }: JudgedPlan, flags: StartFlags): RolloutRequest {
  return {
    release: `${release.ref.stream}@${release.ref.version}`,
    strategy: strategy.strategy.name,
    ...(only === undefined ? {} : { only }),
    by: operatorName(flags.by, context.io.env),
    ...(flags.reason === undefined ? {} : { reason: flags.reason }),
  };
}

function dryAnswer(context: Context, { frozen, findings, blocked }: JudgedPlan, request: RolloutRequest): Answer {
  const document = { dryRun: true, request, plan: planDocument(frozen.plan, findings) };
  const text = `${planText(frozen.plan, findings, context.paint)}\nwould start: ${JSON.stringify(request)}`;
  return { exit: blocked ? EXIT.no : EXIT.done, document, text };
}

/** The lock is on the stream, so the id only has to be new, and to say what it is in the Temporal UI. */
async function startWorkflow(
  context: Context,
  { release, only, frozen }: JudgedPlan,
  request: RolloutRequest,
): Promise<string> {
  const { client } = await context.temporal();
  const { TypedSearchAttributes, defineSearchAttributeKey } = await import('@temporalio/common');
  const { stream, version } = release.ref;
  const sites = Object.keys(frozen.sites).length;
  const workflowId = `rollout/${stream}-${version}-${stamp(context.io.now())}-${randomBytes(2).toString('hex')}`;
  const selected = only === undefined ? '' : `, only ${writeSelector(only)}`;
  try {
    await client.workflow.start('rollout', {
      taskQueue: TASK_QUEUE,
      workflowId,
      args: [request],
      staticSummary: `${request.release} by ${request.strategy}`.slice(0, 190),
      staticDetails:
        `${release.release.description ?? ''}\n\n${sites} sites${selected}; asked by ${request.by ?? ''}: ${request.reason ?? 'no reason given'}`.trim(),
      typedSearchAttributes: new TypedSearchAttributes([
        { key: defineSearchAttributeKey('FootholdStream', 'KEYWORD'), value: stream },
        { key: defineSearchAttributeKey('FootholdRelease', 'KEYWORD'), value: request.release },
      ]),
    });
  } catch (error) {
    throw startFailure(error);
  }
  return workflowId;
}

/** `20261122-130507`, UTC. */
function stamp(now: number): string {
  return new Date(now).toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-');
}

function startFailure(error: unknown): Error {
  const said = [error, (error as { cause?: unknown }).cause]
    .map((one) => (one instanceof Error ? one.message : ''))
    .join(' ');
  if (/search attribute/i.test(said)) {
    return new WorldError(
      'TEMPORAL_NOT_READY',
      'expected the search attributes of Foothold in the namespace, some are missing; add them with: foothold doctor --fix',
      { cause: error },
    );
  }
  if (/namespace .*not found/i.test(said)) {
    return new WorldError(
      'TEMPORAL_NOT_READY',
      'expected the namespace to exist, it does not; make it with: foothold doctor --fix',
      { cause: error },
    );
  }
  return new WorldError('TEMPORAL_UNREACHABLE', 'expected Temporal to start the rollout, it did not', { cause: error });
}

async function begunAnswer(
  context: Context,
  workflowId: string,
  request: RolloutRequest,
  imports: Imported[],
): Promise<Answer> {
  const beginning = await awaitBeginning(context, workflowId);
  const document = { workflowId, request, imported: imports.map(({ line: _, ...rest }) => rest), ...beginning };
  switch (beginning.kind) {
    case 'begun': {
      const text = headline(beginning.rollout, { now: context.io.now(), paint: context.paint });
      return { exit: beginning.rollout.outcome === 'refused' ? EXIT.no : EXIT.done, document, text };
    }
    case 'refused':
      return {
        exit: EXIT.no,
        document,
        text: `${context.paint('red', 'REFUSED')} · ${beginning.code}: ${beginning.detail}`,
      };
    case 'not begun': {
      const why = beginning.because ?? 'no control worker has taken it: foothold worker run';
      const text = `${context.paint('yellow', 'started, not planned yet')} · ${why} · next: foothold watch ${workflowId}`;
      return done(document, text);
    }
  }
}

async function watchFrom(context: Context, workflowId: string): Promise<Answer> {
  const beginning = await awaitBeginning(context, workflowId, Number.POSITIVE_INFINITY);
  if (beginning.kind === 'begun') return watchRollout(context, beginning.rollout.firstRunId);
  const why =
    beginning.kind === 'refused' ? `${beginning.code}: ${beginning.detail}` : 'no control worker has taken it';
  return { exit: EXIT.no, document: { workflowId, ...beginning }, text: `${beginning.kind} · ${why}` };
}
