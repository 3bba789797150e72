/**
 * Converge is attach and observe (design §4): the command is handed durably to the site's agent, then only watched.
 * When the link or this worker dies, the attempt dies and the agent carries on; the next attempt attaches again.
 */
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import { Context } from '@temporalio/activity';
import type { Page, Settled, SiteState } from '../../policies/model/command.js';
import type { SiteDoor } from '../../policies/model/site-door.js';
import type { SiteActivities } from '../contract.js';

const HEARTBEAT_MS = 1_000;

/** The workflow that an attempt answers. */
export interface Asker {
  workflowId: string;
  runId: string;
}

/** `onResult` hears who is answered with a result, before the answer goes out. */
export function createSiteActivities(
  door: SiteDoor,
  now: () => number,
  onResult: (asker: Asker) => void = () => undefined,
): SiteActivities {
  return {
    async converge(page: Page): Promise<Settled[]> {
      if (page.prefetches) return takePrefetches(door, page.prefetches);
      const [command] = page.commands;
      if (!command || page.commands.length > 1) {
        throw ApplicationFailure.nonRetryable(
          `a page for one site holds one command, got ${page.commands.length}`,
          'BAD_INPUT',
        );
      }
      const { commandId, state } = await door.accept(command.envelope);
      door.contacted(now());
      const settled = await observeCommand(door, commandId, state);
      const end = endOfAttempt(settled);
      const asker = Context.current().info.workflowExecution;
      if (end.kind === 'result' && asker) onResult(asker);
      return [end];
    },
  };
}

/** Taken, or not: nothing is observed and nothing is owed. What is there, the site's report says. */
async function takePrefetches(door: SiteDoor, prefetches: NonNullable<Page['prefetches']>): Promise<[]> {
  for (const { envelope } of prefetches) await door.prefetch?.(envelope);
  return [];
}

/** Heartbeats the state, keyed by command id: what the centre knows of a site whose link then fails. */
async function observeCommand(door: SiteDoor, commandId: string, accepted: SiteState): Promise<Settled> {
  const context = Context.current();
  let state = accepted;
  const beat = () => context.heartbeat({ [commandId]: state });
  const timer = setInterval(beat, HEARTBEAT_MS);
  beat();
  try {
    return await door.observe(commandId, context.cancellationSignal, (next) => {
      state = next;
      beat();
    });
  } finally {
    clearInterval(timer);
  }
}

/** What an attempt may say that has no result: only a cancel that was asked for is an answer. */
function endOfAttempt(settled: Settled): Settled {
  if (settled.kind === 'result') return settled;
  const { cancellationDetails, cancellationSignal } = Context.current();
  if (cancellationDetails?.cancelRequested) return settled;
  if (cancellationSignal.aborted) throw new CancelledFailure('the attempt is over; the command goes on at the site');
  throw ApplicationFailure.retryable('a newer attempt observes this command', 'OBSERVER_REPLACED');
}
