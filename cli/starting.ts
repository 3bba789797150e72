/** Beginning a rollout in Temporal, and what is said about it: `start` and `rollback` alike. */
import { randomBytes } from 'node:crypto';
import { writeSelector } from '../policies/cohort/selector.js';
import { WorldError } from '../policies/model/failure.js';
import { TASK_QUEUE, type RolloutRequest } from '../policies/model/rollout.js';
import { EXIT, done, type Answer } from './answer.js';
import { awaitBeginning } from './beginning.js';
import { watchRollout } from './commands/watch.js';
import type { Context } from './context.js';
import { importFiles } from './import-files.js';
import type { JudgedPlan } from './judge-plan.js';
import { planDocument, planText } from './render/plan.js';
import { headline } from './render/headline.js';

/** `more` goes into the document of the answer. */
export interface Beginning {
  judged: JudgedPlan;
  request: RolloutRequest;
  watch: boolean;
  more?: Record<string, unknown>;
}

/** Imports what was named by files, starts the workflow, and answers once it is planned, or with `watch` at its end. */
export async function begin(context: Context, { judged, request, watch, more }: Beginning): Promise<Answer> {
  // Before anything is written: a start that cannot happen must leave nothing behind.
  await context.temporal();
  const imports = await importFiles(context, judged);
  for (const { line } of imports) context.note(line);
  const workflowId = await startWorkflow(context, judged, request);
  context.note(`started ${workflowId}`);
  if (watch) return watchFrom(context, workflowId);
  return begunAnswer(context, workflowId, {
    ...more,
    request,
    imported: imports.map(({ line: _, ...rest }) => rest),
  });
}

/** The dry form: exit code 1 if preflight blocks. */
export function dryAnswer(context: Context, { judged, request, more }: Omit<Beginning, 'watch'>): Answer {
  const { frozen, findings, blocked } = judged;
  const document = { dryRun: true, ...more, request, plan: planDocument(frozen.plan, findings) };
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

async function begunAnswer(context: Context, workflowId: string, more: Record<string, unknown>): Promise<Answer> {
  const beginning = await awaitBeginning(context, workflowId);
  const document = { workflowId, ...more, ...beginning };
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
