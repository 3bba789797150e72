/** Promotions against the data that they rest on: the samples kept, what Prometheus was scripted to say, and the sites' logs. */
import type { EvidenceEntry } from '../../policies/model/evidence.js';
import type { Metric } from '../../policies/model/strategy.js';
import type { Sample } from '../../policies/model/verdict.js';
import type { RolloutFacts, SeedFacts } from './facts.js';
import { liveAt } from './site-logs.js';

interface Promotion {
  stage: string;
  wave: number;
  confirmedSites: string[];
  from: number;
  /** Once more after a reset, the gate has samples of its own. */
  until: number;
  metrics: Metric[];
}

/** Promoted by the gate's own verdict, and by no person. */
function promotionsOf({ evidence, plan }: RolloutFacts): Promotion[] {
  return evidence.flatMap(({ kind, data, sequence }) => {
    const reason = data['reason'] as { code?: string } | undefined;
    if (kind !== 'decision' || data['kind'] !== 'promote' || reason?.code !== 'GATE_PASSED') return [];
    const gate = evidence.findLast((entry) => {
      const same = entry.data['stage'] === data['stage'] && entry.data['wave'] === data['wave'];
      return entry.kind === 'gate' && entry.sequence < sequence && same;
    });
    const stage = plan.stages.find((one) => one.name === data['stage']);
    if (!stage || !('metrics' in stage.gate)) return [];
    const { confirmedSites = [], from = 0, until = Infinity } = (gate?.data ?? {}) as Partial<Promotion>;
    return [
      { stage: stage.name, wave: Number(data['wave']), confirmedSites, from, until, metrics: stage.gate.metrics },
    ];
  });
}

/** Nothing goes on, to a next wave or to a seal as promoted, without a decision that says so and why. */
export function judgeDecided({ rollouts }: SeedFacts): string[] {
  return rollouts.flatMap(({ status, evidence, plan }) => {
    const waves = plan.stages.flatMap(({ name, waves }) => waves.map((_, wave) => ({ stage: name, wave })));
    const isOf = (entry: EvidenceEntry, { stage, wave }: { stage: string; wave: number }) =>
      entry.data['stage'] === stage && entry.data['wave'] === wave;
    return evidence.flatMap((entry) => {
      const isEnd = entry.kind === 'sealed' && entry.data['outcome'] === 'promoted';
      if (entry.kind !== 'wave' && !isEnd) return [];
      const place = isEnd ? waves.length : waves.findIndex((one) => isOf(entry, one));
      const before = waves.slice(0, Math.max(place, 0)).filter((one) => {
        return !evidence.some((said) => {
          const promotes = said.kind === 'decision' && said.data['kind'] === 'promote';
          return promotes && isOf(said, one) && said.sequence < entry.sequence;
        });
      });
      const what = isEnd ? 'the seal' : `wave ${Number(entry.data['wave']) + 1} of ${String(entry.data['stage'])}`;
      return before.map(({ stage, wave }) => {
        return `${status.label}: ${what} came without a decision to promote wave ${wave + 1} of ${stage}`;
      });
    });
  });
}

export function judgeGateData(facts: SeedFacts): string[] {
  return facts.rollouts.flatMap((rollout) =>
    promotionsOf(rollout).flatMap((promotion) =>
      promotion.metrics.flatMap((metric) => {
        const { stage, wave, from, until } = promotion;
        const at = `${rollout.status.label} ${stage}/${wave + 1} ${metric.name}`;
        const samples = rollout.samples.filter((sample) => {
          return (
            sample.stage === stage &&
            sample.wave === wave &&
            sample.metric === metric.name &&
            sample.scheduledAt >= from &&
            sample.scheduledAt <= until
          );
        });
        return judgeSamples(facts, rollout, promotion, metric, samples).map((words) => `${at}: ${words}`);
      }),
    ),
  );
}

function judgeSamples(
  facts: SeedFacts,
  rollout: RolloutFacts,
  promotion: Promotion,
  metric: Metric,
  samples: Sample[],
): string[] {
  const of = (outcome: Sample['outcome']) => samples.filter((sample) => sample.outcome === outcome);
  const measured = of('pass').length + of('fail').length + of('inconclusive').length;
  const found: string[] = [];
  if (measured < (metric.count ?? 1)) found.push(`${measured} samples are kept, ${metric.count ?? 1} are needed`);
  if (of('pass').length === 0) found.push('no sample that passed is kept');
  if (of('fail').length > metric.failureLimit) found.push(`${of('fail').length} samples failed`);
  for (const sample of of('pass')) {
    // A sample that was lost with its worker was asked for again.
    const given = facts.answers.filter(({ stage, at }) => stage === promotion.stage && at === sample.scheduledAt);
    const kept = sample.values[0]?.value;
    if (kept === undefined || !given.some(({ value }) => value === kept)) {
      const said = given.map(({ value }) => value).join(' and ') || 'nothing';
      found.push(`the sample of ${sample.scheduledAt} is ${kept}, Prometheus said ${said}`);
    }
    const shown = sitesShowing(facts, rollout, promotion, sample, metric.window);
    if (shown * 10 < promotion.confirmedSites.length * 9) {
      found.push(
        `the sample of ${sample.scheduledAt} is of ${shown} of ${promotion.confirmedSites.length} confirmed sites`,
      );
    }
  }
  return found;
}

/** Confirmed sites that ran the release at the time of the sample and one window before, by their own logs. */
function sitesShowing(
  facts: SeedFacts,
  { status }: RolloutFacts,
  { confirmedSites }: Promotion,
  { scheduledAt }: Sample,
  window: number,
): number {
  return confirmedSites.filter((site) => {
    const log = facts.sites[site] ?? [];
    return [scheduledAt, scheduledAt - window].every((at) => liveAt(log, facts.before, at) === status.release.digest);
  }).length;
}
