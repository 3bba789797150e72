/** All activities of the control worker, wired. Each is one idempotent effect; verdicts are the policies'. */
import type { ControlActivities } from '../contract.js';
import { failing } from '../failures.js';
import { createGateActivities } from '../gate/sample-gate.js';
import { catchUpFacts } from './catch-up-facts.js';
import type { ControlDeps } from './deps.js';
import { evidenceKey } from './evidence-key.js';
import { freezePlan, readOutline } from './freeze-plan.js';
import { handOver } from './hand-over.js';
import { issueCommands } from './issue-commands.js';
import { countPrefetched, issuePrefetches } from './prefetch.js';
import { quarantined } from './quarantined.js';
import { rivalOf } from './rival.js';
import { recordArrivals, recordInbox } from './record-inbox.js';
import { knownCommands } from './known-commands.js';
import { recordProgress, recordRefused } from './record-progress.js';
import { retiredAmong } from './retired.js';
import { runPreflight } from './run-preflight.js';
import { supersede } from './supersede.js';
import { sweep } from './sweep.js';
import { awaitClosed, describeHolder } from './temporal-facts.js';
import { CatchUpWaker } from './wake-catch-up.js';
import { judgeWithdrawal, withdrawHindered } from './withdraw.js';

export function createControlActivities(deps: ControlDeps): ControlActivities {
  const { registry, client, now } = deps;
  const waker = new CatchUpWaker(deps);
  return {
    ...createGateActivities({ prometheusUrl: deps.prometheusUrl, registry, now }),
    freezePlan: (request, run) => failing(() => freezePlan(deps, request, run)),
    readOutline: (frozen) => failing(() => readOutline(deps, frozen)),
    runPreflight: ({ planDigest }, run) => failing(() => runPreflight(deps, planDigest, run)),
    issueCommands: (input, sites) => failing(() => issueCommands(deps, input, sites)),
    issuePrefetches: (input, sites) => failing(() => issuePrefetches(deps, input, sites)),
    countPrefetched: (planDigest) => failing(() => countPrefetched(deps, planDigest)),
    recordOutbox: (report, page) => failing(async () => deps.registry.recordOutbox(report, page, deps.now())),
    recordInbox: (report, events, nth) => failing(() => recordInbox(deps, waker, report, events, nth)),
    recordArrivals: (deliveries) => failing(() => recordArrivals(deps, waker, deliveries)),
    catchUpFacts: (stream) => failing(() => catchUpFacts(deps, stream)),
    sweep: (word) => failing(() => sweep(deps, word)),
    recordBlock: (block) => failing(() => registry.block({ ...block, at: now() })),
    recordProgress: (drafts, status, run) => failing(() => recordProgress(deps, drafts, status, run)),
    recordRefused: (request, reason, run) => failing(() => recordRefused(deps, request, reason, run)),
    knownCommands: (firstRunId, after) => failing(() => knownCommands(deps, firstRunId, after)),
    adoptRun: ({ firstRunId, continuation, runId }) =>
      failing(() => registry.adoptRun(firstRunId, continuation, runId)),
    handOver: (run, outcome) => failing(() => handOver(deps, run, outcome)),
    quarantined: (release, sites) => failing(() => quarantined(deps, release, sites)),
    supersede: (request, holder, run) => failing(() => supersede(deps, request, holder, run)),
    recordSettled: (shard, settled) =>
      failing(async () => {
        // What it says of other commands the inbox passes on.
        const { disbelieved } = await registry.recordSettled(evidenceKey(shard), shard, settled, now());
        return disbelieved.length === 0 ? {} : { disbelieved };
      }),
    retiredAmong: (sites) => failing(() => retiredAmong(deps, sites)),
    judgeWithdrawal: (input, sites) => failing(() => judgeWithdrawal(deps, input, sites)),
    withdrawHindered: () => failing(() => withdrawHindered(deps)),
    recordDispositions: (shard, rows) => failing(() => registry.recordDispositions(evidenceKey(shard), rows, now())),
    describeLock: (stream) => describeHolder(deps, stream),
    rivalOf: (stream, run) => failing(() => rivalOf(deps, stream, run)),
    awaitClosed: (workflowId) => awaitClosed(client, workflowId),
  };
}
