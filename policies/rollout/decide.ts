/** What follows a wave (design §4.6): the one place that says promote, wait or undo. */
import type { OnFailure } from '../model/strategy.js';
import type { GateVerdict, Reason } from '../model/verdict.js';
import type { BudgetVerdict } from './budget.js';

export type Decision =
  | { kind: 'promote'; reason: Reason }
  | { kind: 'wait'; reason: Reason }
  | { kind: 'fail'; then: OnFailure; reason: Reason };

/** `gate` is undefined while the wave has not been judged, or for a stage with `gate: none`. */
export function decideAfterWave(
  budget: BudgetVerdict,
  gate: GateVerdict | 'none' | 'not judged',
  onFailure: OnFailure,
): Decision {
  if (budget.verdict === 'fail') return { kind: 'fail', then: onFailure, reason: reasonOf(budget) };
  if (gate !== 'none' && gate !== 'not judged' && gate.verdict === 'fail') {
    return { kind: 'fail', then: onFailure, reason: gate.reason };
  }
  if (budget.count.confirmed.length === 0) {
    return { kind: 'wait', reason: { code: 'NO_CONFIRMED_SITE', detail: 'no site of the stage has confirmed' } };
  }
  if (budget.verdict === 'inconclusive') return { kind: 'wait', reason: reasonOf(budget) };
  if (gate === 'none') return { kind: 'promote', reason: { code: 'GATE_NONE', detail: 'this stage has no gate' } };
  if (gate === 'not judged')
    return { kind: 'wait', reason: { code: 'GATE_STOPPED_SHORT', detail: 'the gate was not judged' } };
  if (gate.verdict === 'inconclusive') return { kind: 'wait', reason: gate.reason };
  return { kind: 'promote', reason: gate.reason };
}

function reasonOf(budget: BudgetVerdict): Reason {
  if (!budget.reason) throw new TypeError('a budget that does not pass has a reason');
  return budget.reason;
}

/** Which stages an undo covers: the current one, or every stage begun so far. */
export function stagesToRevert(then: 'revert-stage' | 'revert-all', current: string, begun: string[]): string[] {
  return then === 'revert-stage' ? [current] : begun;
}
