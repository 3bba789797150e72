/** Retry: sites of a rollout that waits are commanded again, under the next try (design §4 "explicit retry"). */
import { condition } from '@temporalio/workflow';
import type { OutlineStage, PlanOutline } from '../policies/model/outline.js';
import type { VerbAnswer, VerbPayload } from '../policies/model/rollout.js';
import { judgeBudget } from '../policies/rollout/budget.js';
import { planRetry } from '../policies/rollout/retry.js';
import { atStart } from './proxies.js';
import { keepLock } from './rollout-lock.js';
import { placeOf, takeOutcome } from './rollout-news.js';
import { failingStages, note, openConverges, outcomesOf, setStage, sizeOf, type RolloutRun } from './rollout-run.js';
import { carryOutWave, unsettled } from './wave.js';

/** Why there is nothing to try again now, or undefined. */
export function refuseRetry(run: RolloutRun, payload: VerbPayload): string | undefined {
  if (!run.wait || !run.mayRetry) return 'the rollout does not wait for the sites of a wave: there is nothing to retry';
  if (run.ticket) return 'the wait has just been ended by a promotion';
  const { sites, refused } = planRetry(run.outcomes, payload.sites);
  if (refused.length > 0) return refused.map(({ site, why }) => `${site}: ${why}`).join('; ');
  if (sites.length === 0) return 'no site was rejected, reverted by itself, or is owed';
  return stillFailing(run, new Set(sites.map(({ site }) => site)));
}

/** Nobody is commanded in a rollout whose budget is exceeded: what is tried again has to bring it below. */
function stillFailing(run: RolloutRun, again: Set<string>): string | undefined {
  for (const stage of failingStages(run)) {
    const others = outcomesOf(run, stage.name).filter(({ site }) => !again.has(site));
    const left = judgeBudget(stage.budget, sizeOf(stage), others, run.forgiven[stage.name]);
    if (left.verdict !== 'fail') continue;
    return `${stage.name} would still exceed its budget (${left.reason?.detail ?? ''}); name those too, or promote with "override": true`;
  }
  return undefined;
}

/** A site that holds the release in quarantine would only refuse it: named, and left out until a person allows it. */
export async function prepareRetry(run: RolloutRun, payload: VerbPayload): Promise<VerbAnswer> {
  const release = run.outline?.release;
  if (!release) return { accepted: false, message: 'the rollout has no plan yet' };
  const asked = planRetry(run.outcomes, payload.sites).sites.map(({ site }) => site);
  const barred = new Set(await atStart.quarantined({ stream: release.stream, digest: release.digest }, asked));
  const sites = asked.filter((site) => !barred.has(site));
  const named = `${[...barred].join(', ')}: quarantined (QUARANTINED); first: foothold allow ${release.stream}@${release.version} --site ID`;
  if (barred.size > 0 && (payload.sites || sites.length === 0)) return { accepted: false, message: named };
  // The world may have gone on while the registry was asked.
  const refused = refuseRetry(run, { ...payload, sites });
  if (refused !== undefined) return { accepted: false, message: refused };
  note(run, 'verb', { verb: 'retry', ...payload, sites });
  // Two people may ask in one workflow task: what the first was promised is not forgotten for the second.
  run.retry = { payload, sites: [...new Set([...(run.retry?.sites ?? []), ...sites])] };
  const others = barred.size > 0 ? `; not ${named}` : '';
  return { accepted: true, message: `${sites.length} sites are commanded again${others}` };
}

/**
 * Carries it out. What these sites ended with no longer counts; each is counted by its new outcome, once. Waves before
 * the current one may be concerned as well.
 */
export async function tryAgain(run: RolloutRun, outline: PlanOutline, sites: string[]): Promise<void> {
  await condition(() => openConverges(run).length === 0 || run.stop !== undefined);
  await keepLock(run);
  if (run.stop) return;
  for (const site of sites) {
    const place = placeOf(run, site);
    if (!place) continue;
    const number = (run.tries.get(site) ?? 1) + 1;
    run.tries.set(site, number);
    takeOutcome(run, { site, outcome: 'untouched', ...place, try: number });
  }
  const again = new Set(sites);
  for (const stage of outline.stages) {
    for (const wave of stage.waves.keys()) {
      if (unsettled(run, stage, wave).some(({ id }) => again.has(id))) await carryOutAgain(run, outline, stage, wave);
    }
  }
}

async function carryOutAgain(run: RolloutRun, outline: PlanOutline, stage: OutlineStage, wave: number): Promise<void> {
  const before = run.stages[stage.name];
  await carryOutWave(run, outline, stage, wave);
  if (before) setStage(run, stage.name, { wave: before.wave, state: before.state });
}
