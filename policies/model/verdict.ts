/** Verdicts, reasons, and the samples that gates are judged on (design §2, §6). */
import type { ReasonCode } from './reasons.js';

/** Why something is as it is: a stable code, and the numbers or words of this case. */
export interface Reason {
  code: ReasonCode;
  detail: string;
}

/** `fail` = measured bad; `inconclusive` = could not be judged. Never a boolean: absence is no pass. */
export type VerdictWord = 'pass' | 'fail' | 'inconclusive';

export interface SampleValue {
  /** The `site` label of a per-site series; absent for `series: one`. */
  site?: string;
  value: number;
}

/**
 * One judged measurement of one metric. Times in epoch ms of the control worker; `values` as Prometheus gave them.
 * `covered` of `confirmed` sites of the stage showed the target digest at the sample's time and one window before.
 */
export interface Sample {
  metric: string;
  scheduledAt: number;
  takenAt: number;
  outcome: VerdictWord | 'error';
  reason?: Reason;
  values: SampleValue[];
  covered: number;
  confirmed: number;
}

export interface MetricVerdict {
  metric: string;
  verdict: VerdictWord;
  reason: Reason;
  /** How many samples of each outcome were counted. */
  counts: { pass: number; fail: number; inconclusive: number; error: number };
  lastValues: SampleValue[];
}

export interface GateVerdict {
  verdict: VerdictWord;
  reason: Reason;
  metrics: MetricVerdict[];
}
