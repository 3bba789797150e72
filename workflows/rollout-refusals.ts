/** Which verbs a rollout obeys now (design §4 "Verbs"): what it refuses, and what it offers to a person. */
import type { ReasonCode } from '../policies/model/reasons.js';
import type { MessageVerb, OfferedVerb, RolloutVerb, VerbPayload } from '../policies/model/rollout.js';
import { SEALED } from '../policies/rollout/verbs.js';
import { refuseRetry } from './rollout-retry.js';
import { failingStages, type RolloutRun } from './rollout-run.js';

const OFFERS: readonly [OfferedVerb, RolloutVerb, { override?: true }][] = [
  ['promote', 'promote', {}],
  ['promote --override', 'promote', { override: true }],
  ['retry', 'retry', {}],
  ['resume', 'resume', {}],
  ['pause', 'pause', {}],
  ['abort', 'abort', {}],
  ['revert', 'revert', {}],
];

const NOBODY = { by: '', reason: '' };

/** What a person can type now and would not be refused, by the very rules that refuse; an override only where it is needed. */
export function offeredVerbs(run: RolloutRun): OfferedVerb[] {
  const accepted = OFFERS.filter(([, verb, payload]) => refusalOf(run, verb, { ...NOBODY, ...payload }) === undefined);
  const verbs = accepted.map(([offered]) => offered);
  return verbs.filter((verb) => verb !== 'promote --override' || !verbs.includes('promote'));
}

interface Refusal {
  why: string;
  code?: ReasonCode | typeof SEALED;
}

/** Why the verb cannot be obeyed now, or undefined. */
export function refusalOf(run: RolloutRun, verb: MessageVerb, payload: VerbPayload): Refusal | undefined {
  if (run.state === 'sealed')
    return { code: SEALED, why: `the rollout is sealed (${run.outcome ?? 'ended'}); start a new one` };
  if (verb === 'supersede') return refuseSupersede(run, payload);
  const why = verb === 'retry' ? refuseRetry(run, payload) : whyNot(run, verb, payload);
  return why === undefined ? undefined : { why };
}

function whyNot(
  run: RolloutRun,
  verb: Exclude<MessageVerb, 'retry' | 'supersede'>,
  payload: VerbPayload,
): string | undefined {
  switch (verb) {
    case 'pause':
      if (run.stop || run.state === 'reverting') return 'the rollout is being undone: an undo does not pause';
      return run.paused ? 'the rollout is already paused' : undefined;
    case 'resume':
      return run.paused ? undefined : 'the rollout is not paused';
    case 'promote':
      return refusePromotion(run, payload);
    case 'abort':
      // A revert that was accepted is taken back by nobody: an abort leaves the confirmed as they are.
      return run.state === 'reverting' || run.stop?.verb === 'revert'
        ? 'the rollout is already being undone'
        : undefined;
    case 'revert':
      return run.stop?.verb === 'revert' ? 'the rollout is already being reverted' : undefined;
  }
}

function refusePromotion(run: RolloutRun, payload: VerbPayload): string | undefined {
  if (!run.wait) return run.prefetch ? undefined : 'nothing waits to be promoted';
  if (run.wait.reason.code === 'NO_CONFIRMED_SITE') {
    return 'a cohort with no confirmed site never promotes; wait until a site confirms, or abort';
  }
  if (run.wait.reason.code === 'LOCK_LOST') {
    return 'another rollout has the stream: this one goes on by itself once that has ended; or abort one of them';
  }
  if (run.retry) return 'sites are just being commanded again; promote once they have ended';
  if ((run.outcome === 'halted' || failingStages(run).length > 0) && !payload.override) {
    return `${run.wait.reason.code}: promoting against a failure needs "override": true`;
  }
  return undefined;
}

/** A site that has this release and that nobody else brings to another one would be left with what nobody wants. */
function refuseSupersede(run: RolloutRun, payload: VerbPayload): Refusal | undefined {
  if (run.stop?.verb === 'supersede') return { why: 'the rollout is already giving way' };
  if (run.reading) return { why: 'the rollout is just continuing as new; ask again in a moment' };
  if (run.stop || run.state === 'reverting') return { why: 'the rollout is being undone; wait until that has ended' };
  const beginning = [...run.shards.values()].filter((shard) => !shard.closed && shard.input.verb === 'converge');
  const maybe = beginning.flatMap((shard) => shard.input.sites.map((site) => site.id));
  const commanded = new Set([...run.commanded.keys(), ...maybe]);
  // Who does not say whom the new plan leaves out may leave out anybody.
  const leftOut = payload.leftOut ?? [...commanded];
  const sites = [...new Set(leftOut)].filter((site) => commanded.has(site) && !isBack(run, site)).sort();
  if (sites.length === 0) return undefined;
  const named = sites.slice(0, 10).join(', ') + (sites.length > 10 ? ' …' : '');
  return { code: 'SUPERSEDE_TOO_NARROW', why: `${sites.length} commanded sites are not in the new plan: ${named}` };
}

/** It runs what it ran before. */
function isBack(run: RolloutRun, site: string): boolean {
  const outcome = run.outcomes.get(site)?.outcome;
  return outcome === 'reverted' || outcome === 'rejected';
}
