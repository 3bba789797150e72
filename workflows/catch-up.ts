/**
 * The reconciler of a stream (design §4.7): brings sites that were absent, are new, restored or replaced to what they
 * should run, one batch after the other. It never holds the stream's lock and never commands a site itself: a batch is an
 * ordinary rollout, and an owed revert is carried by the shard that always did.
 */
import { CancelledFailure, WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  allHandlersFinished,
  ChildWorkflowCancellationType,
  condition,
  continueAsNew,
  ParentClosePolicy,
  setCurrentDetails,
  setHandler,
  sleep,
  startChild,
  workflowInfo,
} from '@temporalio/workflow';
import { taken } from '../policies/catch-up/bucket.js';
import { startedAgain } from '../policies/catch-up/carrier-pace.js';
import { describeCatchUp } from '../policies/catch-up/describe.js';
import type { CatchUpFacts, LostCarrier } from '../policies/catch-up/facts.js';
import { nextCatchUp, type CatchUpDecision, type CatchUpMemory } from '../policies/catch-up/next.js';
import { batchId } from '../policies/model/debt.js';
import { beside, endOfBatch, forget, readAsked, type OpenBatch } from './catch-up-batch.js';
import { wakeSignal } from './messages.js';
import { patient } from './proxies.js';
import { rollout } from './rollout.js';
import { shard } from './shard.js';

export interface CatchUpInput {
  stream: string;
  memory?: CatchUpMemory;
  /** For tests; otherwise as Temporal suggests. */
  continueAfterEvents?: number;
}

/** A wait never lasts longer without a look at the facts: a signal may have been lost with the history that held it. */
const LONGEST_WAIT = 3_600_000;
/** Where a look shows a carrier lost that runs by now. */
const SETTLE = '2s';

/** Ends once nothing is owed that could be brought now; whatever changes that wakes it again. */
export async function catchUp(input: CatchUpInput): Promise<void> {
  const memory: CatchUpMemory = input.memory ?? { refused: {}, asked: [] };
  let woken = false;
  setHandler(
    wakeSignal,
    (asked) => {
      woken = true;
      memory.asked.push(...readAsked(asked, memory));
    },
    { description: 'Look again. {"retry": ["site"]} tries these whatever the back-off says.' },
  );
  let gathered = input.memory !== undefined;
  let batch: OpenBatch | undefined;
  for (;;) {
    woken = false;
    if (batch?.ended) batch = undefined;
    const facts = beside(batch, await patient.catchUpFacts(input.stream));
    const decision = nextCatchUp(facts, memory, Date.now(), Math.random());
    setCurrentDetails(describeCatchUp(facts, decision));
    if (decision.kind === 'deliver') await startCarriers(decision.carriers, memory);
    else if (decision.kind === 'batch' && gathered) batch = await beginBatch(decision, facts, memory);
    else if (decision.kind === 'wait' && batch) await waitBeside(batch, decision.until, facts, () => woken);
    else if (decision.kind === 'wait') await waitUntil(decision.until, facts, () => woken);
    else if (decision.kind === 'idle' && !woken) return condition(allHandlersFinished);
    else await sleep(facts.pace.gather);
    // Whoever returns with the first site shares its batch.
    gathered = true;
    await continueIfLong(input, memory);
  }
}

/** Looks between two wakes while a batch is open: as many waits for others to gather. */
const GATHERS_BESIDE = 5;

/** What wakes it is for the next batch, but for carriers that were lost: those are looked after now and then. */
async function waitBeside(batch: OpenBatch, until: number, { pace }: CatchUpFacts, woken: () => boolean) {
  const ms = Math.min(Math.max(until - Date.now(), 1), LONGEST_WAIT);
  if (!(await condition(() => batch.ended || woken(), ms)) || batch.ended) return;
  await condition(() => batch.ended, GATHERS_BESIDE * pace.gather);
}

/** Others that return meanwhile share the batch. */
async function waitUntil(until: number, { pace }: CatchUpFacts, woken: () => boolean): Promise<void> {
  const ms = Math.min(Math.max(until - Date.now(), 1), LONGEST_WAIT);
  if (await condition(woken, ms)) await sleep(pace.gather);
}

/** The same commands under the same ids, in a shard of the same id: Temporal refuses a second one. */
async function startCarriers(carriers: LostCarrier[], memory: CatchUpMemory): Promise<void> {
  memory.carriers = startedAgain(memory.carriers, carriers, Date.now());
  for (const { workflowId, input } of carriers) {
    const words = `revert ${input.release.stream}@${input.release.version}: ${input.sites.length} sites of ${input.stage}`;
    const start = { workflowId, args: [input] as [typeof input], staticSummary: words };
    try {
      await startChild(shard, { ...start, parentClosePolicy: ParentClosePolicy.ABANDON });
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    }
  }
  await sleep(SETTLE);
}

type Batch = Extract<CatchUpDecision, { kind: 'batch' }>;

/**
 * Its fixed id makes a second one impossible. ABANDON: whoever ends the reconciler ends no rollout, nor does
 * continue-as-new; the next reconciler finds the batch in the registry, or its id taken, and waits for it.
 */
async function beginBatch(
  { request, after }: Batch,
  { stream, pace }: CatchUpFacts,
  memory: CatchUpMemory,
): Promise<OpenBatch | undefined> {
  if (after > 0) await sleep(after);
  const { of, sites } = request.catchUp;
  const now = Date.now();
  memory.bucket = taken(memory.bucket ?? { tokens: pace.burst, at: now }, pace, sites.length, now);
  memory.asked = memory.asked.filter((site) => !sites.includes(site));
  try {
    const child = await startChild(rollout, {
      workflowId: batchId(stream),
      args: [request],
      parentClosePolicy: ParentClosePolicy.ABANDON,
      cancellationType: ChildWorkflowCancellationType.ABANDON,
      staticSummary: `brings ${sites.length} sites to ${request.release}`,
    });
    const batch: OpenBatch = { workflowId: child.workflowId, ended: false };
    void untilEnded(child.result(), of, memory).finally(() => (batch.ended = true));
    return batch;
  } catch (error) {
    takeEnd(error, of, memory);
    return undefined;
  }
}

async function untilEnded(result: Promise<unknown>, of: string, memory: CatchUpMemory): Promise<void> {
  try {
    await result;
    forget(memory, of);
  } catch (error) {
    // The reconciler was cancelled: it ends by itself, and the batch goes on.
    if (!(error instanceof CancelledFailure)) takeEnd(error, of, memory);
  }
}

function takeEnd(error: unknown, of: string, memory: CatchUpMemory): void {
  const refusal = endOfBatch(error, memory.refused[of]?.times ?? 0, Date.now());
  if (refusal) memory.refused[of] = refusal;
  else forget(memory, of);
}

/** At any time: a batch that is open goes on, and is found again by its id. */
async function continueIfLong(input: CatchUpInput, memory: CatchUpMemory): Promise<void> {
  const { continueAsNewSuggested, historyLength } = workflowInfo();
  if (!continueAsNewSuggested && historyLength < (input.continueAfterEvents ?? Infinity)) return;
  await condition(allHandlersFinished);
  await continueAsNew<typeof catchUp>({ ...input, memory });
}
