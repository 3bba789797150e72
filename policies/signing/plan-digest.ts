/** The digest of a plan: what `start --plan` compares and what every command of the rollout carries (design §4.2). */
import type { Plan } from '../model/plan.js';
import { digestOf } from './jcs.js';

/** The plan with its digest: sha256 of the JCS form of all its other fields. */
export function sealPlan(plan: Omit<Plan, 'digest'>): Plan {
  return { ...plan, digest: digestOfPlan(plan) };
}

/** Computed anew, whatever `digest` the plan carries: a plan read from a file or a row is checked by this. */
export function digestOfPlan(plan: Omit<Plan, 'digest'> & { digest?: string }): string {
  return digestOf(Object.fromEntries(Object.entries(plan).filter(([field]) => field !== 'digest')));
}
