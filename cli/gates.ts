/** The samples of a rollout, summed up per stage, wave and metric, with the verdict that they gave. */
import { judgeMetric } from '../policies/gate/judge.js';
import type { EvidenceEntry } from '../policies/model/evidence.js';
import type { Plan } from '../policies/model/plan.js';
import type { Metric } from '../policies/model/strategy.js';
import type { GateVerdict, MetricVerdict, Sample } from '../policies/model/verdict.js';

export interface GateSummary extends MetricVerdict {
  stage: string;
  wave: number;
  samples: number;
  /** One for each sample, oldest first (per site: the highest); null where it held no value. */
  values: (number | null)[];
  /** False while the gate has not been judged: the verdict is then that of the samples so far. */
  judged: boolean;
}

export type StoredSample = Sample & { stage: string; wave: number };

/** In the order of the plan's stages. Without the plan the limits are not known, and nothing is summed up. */
export function summarizeGates(
  plan: Plan | undefined,
  samples: StoredSample[],
  evidence: EvidenceEntry[],
): GateSummary[] {
  return (plan?.stages ?? []).flatMap(({ name: stage, gate, waves, soak }) => {
    if (!('metrics' in gate)) return [];
    return waves.flatMap((_, wave) => {
      const recorded = recordedVerdict(evidence, stage, wave);
      const own = samples.filter((sample) => sample.stage === stage && sample.wave === wave);
      return gate.metrics.flatMap((metric) => summarize(metric, own, { stage, wave, soak }, recorded));
    });
  });
}

function summarize(
  metric: Metric,
  waveSamples: StoredSample[],
  at: { stage: string; wave: number; soak: number },
  recorded: GateVerdict | undefined,
): GateSummary[] {
  const own = waveSamples
    .filter((sample) => sample.metric === metric.name)
    .sort((a, b) => a.scheduledAt - b.scheduledAt);
  const [first] = own;
  const verdict = recorded?.metrics.find((one) => one.metric === metric.name);
  if (!first && !verdict) return [];
  const from = (first?.scheduledAt ?? 0) - metric.window;
  const soFar = judgeMetric(metric, own, { soakOver: false, soak: { from, until: from + at.soak } });
  const { stage, wave } = at;
  return [
    {
      stage,
      wave,
      ...(verdict ?? soFar),
      samples: own.length,
      values: own.map(valueOf),
      judged: verdict !== undefined,
    },
  ];
}

/** What the rollout itself judged: its last word on the wave. */
function recordedVerdict(evidence: EvidenceEntry[], stage: string, wave: number): GateVerdict | undefined {
  const entry = evidence.findLast(
    ({ kind, data }) =>
      kind === 'gate' && data['stage'] === stage && data['wave'] === wave && isVerdict(data['verdict']),
  );
  return entry?.data['verdict'] as GateVerdict | undefined;
}

function isVerdict(value: unknown): value is GateVerdict {
  return typeof value === 'object' && value !== null && Array.isArray((value as Partial<GateVerdict>).metrics);
}

function valueOf(sample: Sample): number | null {
  const values = sample.values.map(({ value }) => value).filter(Number.isFinite);
  return values.length === 0 ? null : Math.max(...values);
}
