/**
 * Files travel before the first switch (design §6 `prefetch`). Nothing is changed meanwhile and nothing depends on it: whoever
 * has no files when its wave begins fetches them then.
 */
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { condition, getExternalWorkflowHandle, log, ParentClosePolicy, startChild } from '@temporalio/workflow';
import { SHARD_SIZE, type PlanOutline } from '../policies/model/outline.js';
import type { PrefetchCount } from '../policies/model/prefetch.js';
import { prefetch } from './prefetch.js';
import { patient } from './proxies.js';
import { waitForAdoption } from './rollout-reset.js';
import { note, type RolloutRun } from './rollout-run.js';
import { spendUnpaused } from './wait.js';

/** Ends after the strategy's time, or when a person promotes or stops the rollout. A pause stops its clock. */
export async function letFilesTravel(run: RolloutRun, outline: PlanOutline): Promise<void> {
  const { prefetch: within } = outline.strategy;
  // A batch of the reconciler brings what its sites miss already. Where sites were commanded, the time is over.
  if (within === undefined || run.request.catchUp || run.commanded.size > 0 || run.stop) return;
  delete run.ticket;
  run.state = 'prefetching';
  const since = Date.now();
  run.prefetch = { since, until: since + within };
  const sites = sitesOf(outline);
  note(run, 'prefetch', { within, sites: sites.length });
  const telling = await startTelling(run, outline, since + within);
  let left = within;
  while (left > 0 && !isOver(run)) left = await travel(run, outline, left);
  const end = endOf(run);
  for (const workflowId of telling) void stopTelling(workflowId);
  const count = await countUnlessStopped(run, outline);
  note(run, 'prefetched', { ...end, ...count });
  delete run.prefetch;
  delete run.ticket;
}

function isOver(run: RolloutRun): boolean {
  return run.stop !== undefined || run.ticket !== undefined;
}

function endOf({ stop, ticket }: RolloutRun): { end: 'stopped' | 'promoted' | 'over'; by?: string; why?: string } {
  if (stop) return { end: 'stopped' };
  return ticket ? { end: 'promoted', by: ticket.by, why: ticket.reason } : { end: 'over' };
}

/** One stretch without a pause; what is left of the time. */
async function travel(run: RolloutRun, outline: PlanOutline, left: number): Promise<number> {
  if (run.wasReset) {
    await waitForAdoption(run, outline);
    run.state = 'prefetching';
  }
  const since = run.prefetch?.since ?? Date.now();
  return spendUnpaused(
    run,
    left,
    () => isOver(run) || run.wasReset,
    (until) => (run.prefetch = { since, ...(until !== undefined && { until }) }),
  );
}

function sitesOf(outline: PlanOutline) {
  return outline.stages.flatMap((stage) => stage.waves.flatMap((wave) => wave.sites));
}

/** In the order of the plan: who is changed first is told first. Pauses do not lengthen how long a dark site is told for. */
async function startTelling(run: RolloutRun, outline: PlanOutline, until: number): Promise<string[]> {
  const { label, planDigest, release, generation } = outline;
  const sites = sitesOf(outline);
  const started: string[] = [];
  for (let from = 0; from < sites.length && !run.stop; from += SHARD_SIZE) {
    const cut = sites.slice(from, from + SHARD_SIZE);
    const workflowId = `${label}/prefetch/${started.length + 1}`;
    const input = { label, planDigest, release, generation, until, sites: cut };
    const staticSummary = `prefetch ${release.stream}@${release.version}: ${cut.length} sites`;
    try {
      await startChild(prefetch, {
        workflowId,
        args: [input],
        parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
        staticSummary,
      });
    } catch (error) {
      // Left from a run that was reset: it tells the same sites the same.
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    }
    started.push(workflowId);
  }
  return started;
}

async function stopTelling(workflowId: string): Promise<void> {
  await getExternalWorkflowHandle(workflowId)
    .cancel()
    .catch((closed: unknown) => log.info('every site has been told', { closed: String(closed) }));
}

/** A person who stops the rollout does not wait for a registry that is away. */
async function countUnlessStopped(run: RolloutRun, outline: PlanOutline): Promise<Partial<PrefetchCount>> {
  if (run.stop) return {};
  const counted = patient.countPrefetched(outline.planDigest);
  const stopped = condition(() => run.stop !== undefined).then(() => ({}));
  return Promise.race([counted, stopped]);
}
