/** `pause`, `resume`, `promote`, `abort`, `revert`: the updates of a running rollout, and nothing beside them. */
import type { Command } from 'commander';
import { MistakeError, WorldError } from '../../policies/model/failure.js';
import type { RolloutStatus, RolloutVerb, VerbAnswer, VerbPayload } from '../../policies/model/rollout.js';
import { EXIT, done, type Answer } from '../answer.js';
import type { Context } from '../context.js';
import type { Execute } from '../execute.js';
import { operatorName, requireReason } from '../operator.js';
import { headline } from '../render/headline.js';
import { findRunningRollout } from '../rollouts.js';

/** `retry` names sites as well, and knows rollouts that are over: it has a file of its own. */
const MEANING: Record<Exclude<RolloutVerb, 'retry'>, string> = {
  pause: 'begin nothing new and promote nothing; what is in flight settles',
  resume: 'go on after a pause',
  promote: 'end a wait; against a failed verdict only with --override',
  abort: 'revert every site that was commanded and has not confirmed; confirmed sites stay',
  revert: 'abort, and revert every site that was commanded',
};

export interface VerbFlags {
  reason?: string;
  by?: string;
  override?: boolean;
  lost?: boolean;
  dryRun?: boolean;
}

export function declareVerbs(program: Command, execute: Execute): void {
  for (const [verb, meaning] of Object.entries(MEANING) as [keyof typeof MEANING, string][]) {
    const command = program
      .command(verb)
      .description(meaning)
      .argument('<rollout>', 'its id, or the stream while only one runs')
      .option('--reason <why>', 'goes into the evidence; required')
      .option('--by <name>', 'who asks (default: FOOTHOLD_BY, else user@host)')
      .option('--dry-run', 'say what would be asked, and ask nothing');
    if (verb === 'promote') command.option('--override', 'also against a failed verdict');
    if (verb === 'abort') command.option('--lost', 'seal one that Temporal has lost: nothing is undone, debts pass on');
    command.action((rollout: string, flags: VerbFlags, self: Command) =>
      execute(self, (context) => runVerb(context, verb, rollout, flags)),
    );
  }
}

/** Exit code 1 if the rollout says no. */
export async function runVerb(
  context: Context,
  verb: RolloutVerb,
  reference: string,
  flags: VerbFlags,
): Promise<Answer> {
  const payload: VerbPayload = {
    by: operatorName(flags.by, context.io.env),
    reason: requireReason(flags.reason, verb),
    ...(flags.override === true ? { override: true } : {}),
  };
  if (verb === 'abort' && flags.lost === true) {
    const { abortLost } = await import('./abort-lost.js');
    return abortLost(context, reference, { by: payload.by, reason: payload.reason }, flags.dryRun === true);
  }
  const { rollout } = await findRunningRollout(context, reference);
  if (flags.dryRun === true) return dryVerb(context, verb, rollout, payload);
  return verbAnswer(context, verb, rollout, await askRollout(context, verb, rollout, payload));
}

/** Exit code 1 if the rollout says no. */
export function verbAnswer(context: Context, verb: RolloutVerb, rollout: RolloutStatus, answer: VerbAnswer): Answer {
  const document = { rollout: rollout.label, verb, ...answer };
  const said = answer.accepted ? context.paint('green', 'accepted') : context.paint('red', 'refused');
  const text = `${said} · ${verb} ${rollout.label}: ${answer.message}\nnext: foothold status ${rollout.label}`;
  return { exit: answer.accepted ? EXIT.done : EXIT.no, document, text };
}

export function dryVerb(context: Context, verb: RolloutVerb, rollout: RolloutStatus, payload: VerbPayload): Answer {
  const view = { now: context.io.now(), paint: context.paint };
  const text = `would ask ${rollout.label}: ${verb} ${JSON.stringify(payload)}\nnow: ${headline(rollout, view)}`;
  return done({ rollout: rollout.label, verb, payload, dryRun: true }, text);
}

/** An update is answered by a live control worker only, so the wait is bounded. */
const ANSWER_WITHIN = 20_000;

/** Asks by update. Throws MistakeError NOTHING_RUNNING if the workflow is over, and WorldError WORKER_ABSENT if nobody answers, with the signal that leaves it for later. */
export async function askRollout(
  context: Context,
  verb: RolloutVerb,
  rollout: RolloutStatus,
  payload: VerbPayload,
): Promise<VerbAnswer> {
  const { client, connection } = await context.temporal();
  const errors = await import('@temporalio/client');
  const handle = client.workflow.getHandle(rollout.workflowId, undefined, { firstExecutionRunId: rollout.firstRunId });
  try {
    return await connection.withDeadline(Date.now() + ANSWER_WITHIN, () =>
      handle.executeUpdate<VerbAnswer, [VerbPayload]>(verb, { args: [payload] }),
    );
  } catch (error) {
    if (error instanceof errors.WorkflowUpdateFailedError) {
      return { accepted: false, message: error.cause?.message ?? error.message };
    }
    if (error instanceof errors.WorkflowNotFoundError) {
      throw new MistakeError(
        'NOTHING_RUNNING',
        `expected a running rollout, got ${rollout.label}, whose workflow has ended in Temporal; within a minute foothold status ${rollout.label} says how; if Temporal was made anew: foothold abort ${rollout.label} --lost --reason …`,
      );
    }
    throw noAnswer(verb, rollout, payload, error);
  }
}

/** Says how to leave the verb as a signal: Temporal keeps it even while no worker is up. */
function noAnswer(verb: RolloutVerb, rollout: RolloutStatus, payload: VerbPayload, cause: unknown): WorldError {
  const input = JSON.stringify(payload).replaceAll("'", "'\\''");
  const signal = `temporal workflow signal --workflow-id '${rollout.workflowId}' --name ${verb} --input '${input}'`;
  return new WorldError(
    'WORKER_ABSENT',
    `expected an answer to ${verb} within ${ANSWER_WITHIN / 1000} s, got none; it is not known to be heard: is a control worker running (foothold worker run)? To leave it for when one is back: ${signal}`,
    { cause },
  );
}
