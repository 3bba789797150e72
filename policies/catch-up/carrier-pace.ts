/**
 * How often a lost carrier of owed reverts is started again. One whose sites nobody can believe ends at once, each time:
 * it must hold up neither other carriers nor the sites that are owed a release.
 */
import type { Reason } from '../model/verdict.js';
import type { LostCarrier } from './facts.js';

/** By workflow id: how often it was started again, and from when it may be once more. Epoch ms. */
export type CarrierMemory = Record<string, { times: number; until: number }>;

const FIRST_PAUSE = 5_000;
const LONGEST_PAUSE = 600_000;

export function dueCarriers(lost: LostCarrier[], memory: CarrierMemory | undefined, now: number): LostCarrier[] {
  return lost.filter(({ workflowId }) => untilOf(memory, workflowId) <= now);
}

/** Those that wait, as reasons to look again. */
export function heldCarriers(
  lost: LostCarrier[],
  memory: CarrierMemory | undefined,
  now: number,
): { until: number; why: Reason }[] {
  return lost.flatMap(({ workflowId }) => {
    const until = untilOf(memory, workflowId);
    if (until <= now) return [];
    const detail = `${workflowId} ended without an answer that counts`;
    return [{ until, why: { code: 'OWED_REVERT' as const, detail } }];
  });
}

/** With `carriers` started now. One that was not lost again for as long as the longest pause begins anew. */
export function startedAgain(memory: CarrierMemory | undefined, carriers: LostCarrier[], now: number): CarrierMemory {
  const fresh = Object.entries(memory ?? {}).filter(([, { until }]) => until + LONGEST_PAUSE > now);
  const after: CarrierMemory = Object.fromEntries(fresh);
  for (const { workflowId } of carriers) {
    const times = (after[workflowId]?.times ?? 0) + 1;
    after[workflowId] = { times, until: now + Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** Math.min(times - 1, 20)) };
  }
  return after;
}

function untilOf(memory: CarrierMemory | undefined, workflowId: string): number {
  return memory?.[workflowId]?.until ?? 0;
}
