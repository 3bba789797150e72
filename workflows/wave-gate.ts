/** The gate after a wave, through its soak (design §4.5). */
import { CancellationScope, condition, isCancellation } from '@temporalio/workflow';
import type { SampleGateInput, SampleGateOutput } from '../activities/gate/sample-gate.js';
import { judgeGate } from '../policies/gate/judge.js';
import type { OutlineStage, PlanOutline } from '../policies/model/outline.js';
import type { GateVerdict, Sample } from '../policies/model/verdict.js';
import { gateSampler } from './proxies.js';
import { budgetOf, note, setStage, type RolloutRun } from './rollout-run.js';
import { mustStop } from './wave.js';

/**
 * Samples until the counters decide or the soak is over. The sampler knows no pause: after one it is scheduled again
 * for the paused time, and all samples are judged together.
 */
export async function judgeWave(
  run: RolloutRun,
  outline: PlanOutline,
  stage: OutlineStage,
  wave: number,
): Promise<GateVerdict | 'none' | 'not judged'> {
  const { gate } = stage;
  if (!('metrics' in gate)) {
    note(run, 'gate', { stage: stage.name, wave, gate: 'none', because: gate.because });
    return 'none';
  }
  const { confirmed } = budgetOf(run, stage).count;
  if (confirmed.length === 0) return 'not judged';
  run.state = 'gating';
  setStage(run, stage.name, { state: 'gating' });

  const from = Date.now();
  const input = { ...sampleInput(run, outline, stage, wave), metrics: gate.metrics, confirmedSites: confirmed, from };
  let until = from + stage.soak;
  let samples: Sample[] = [];
  for (;;) {
    const pausedBefore = run.pausedMs;
    setStage(run, stage.name, { soakUntil: until });
    const taken = await sampleUntil(run, stage, { ...input, until });
    if (!taken) return 'not judged';
    samples = merge(samples, taken.samples);
    const soakOver = taken.soakOver && !run.paused;
    const verdict = judgeGate(gate.metrics, samples, { soakOver, soak: { from, until } });
    if (verdict.verdict !== 'fail') await condition(() => !run.paused || mustStop(run, stage));
    if (mustStop(run, stage)) return 'not judged';
    const pausedFor = run.pausedMs - pausedBefore;
    if (verdict.verdict === 'fail' || pausedFor === 0) {
      note(run, 'gate', { stage: stage.name, wave, from, until, confirmedSites: confirmed, verdict, samples });
      setStage(run, stage.name, { gate: verdict });
      return verdict;
    }
    until += pausedFor;
  }
}

function sampleInput(run: RolloutRun, outline: PlanOutline, stage: OutlineStage, wave: number) {
  return {
    firstRunId: run.identity.firstRunId,
    label: outline.label,
    stream: outline.release.stream,
    digest: outline.release.digest,
    stage: stage.name,
    wave,
  };
}

/** What was sampled, or undefined if the rollout had to stop first. */
async function sampleUntil(
  run: RolloutRun,
  stage: OutlineStage,
  input: SampleGateInput,
): Promise<SampleGateOutput | undefined> {
  const scope = new CancellationScope();
  const words = `gate of ${stage.name}, until ${new Date(input.until).toISOString()}`;
  const sampling = scope.run(() => gateSampler(Math.max(input.until - Date.now(), 0), words).sampleGate(input));
  let settled = false;
  const finished = sampling.then(
    () => (settled = true),
    () => (settled = true),
  );
  await condition(() => settled || mustStop(run, stage));
  if (!settled) scope.cancel();
  await finished;
  try {
    return await sampling;
  } catch (error) {
    if (isCancellation(error)) return undefined;
    throw error;
  }
}

function merge(known: Sample[], taken: Sample[]): Sample[] {
  const keyed = new Map([...known, ...taken].map((sample) => [`${sample.metric} ${sample.scheduledAt}`, sample]));
  return [...keyed.values()];
}
