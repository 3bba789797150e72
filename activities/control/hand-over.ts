/** Sealing passes on what is still owed, and wakes the reconciler of the stream where it has work (design §4.7). */
import type { HandedOver } from '../../policies/model/debt.js';
import type { RolloutOutcome } from '../../policies/model/rollout.js';
import type { RunIdentity } from '../contract.js';
import type { ControlDeps } from './deps.js';
import { wakeCatchUp } from './wake-catch-up.js';

export async function handOver(deps: ControlDeps, run: RunIdentity, outcome: RolloutOutcome): Promise<HandedOver> {
  const handed = await deps.registry.handOver(run.firstRunId, outcome, deps.now());
  if (handed.passed.converge + handed.passed.revert > 0) await wakeCatchUp(deps.client, handed.stream);
  return handed;
}
