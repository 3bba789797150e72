/** The file kind `Strategy` (design §6): stages, waves, gates, budgets, and what to do on failure. */
import { z } from 'zod';
import { Duration, PositiveDuration, TimerDuration } from './duration.js';
import { ApiVersion, Name, Text } from './names.js';

const PERCENTAGE = /^(100(\.0+)?|[1-9]?\d(\.\d+)?)%$/;

/** Whole sites (`3`) or a share (`"10%"`) that is rounded down. */
export const Share = z
  .union([z.number().int().nonnegative(), z.string().regex(PERCENTAGE)])
  .describe('a whole number of sites, or a percentage from 0% to 100% such as 10%');
export type Share = z.infer<typeof Share>;

export const SELECTOR_KEYS = ['id', 'region', 'cluster', 'assetType', 'link', 'risk'] as const;
const oneOrMany = z.union([Text, z.array(Text).min(1)]).describe('one value, or a list of at least one');
/** Every key must match; a list matches if it holds the site's value. */
export const Selector = z.strictObject({
  id: oneOrMany.optional(),
  region: oneOrMany.optional(),
  cluster: oneOrMany.optional(),
  assetType: oneOrMany.optional(),
  link: oneOrMany.optional(),
  risk: oneOrMany.optional(),
});
export type Selector = z.infer<typeof Selector>;

export const Budget = z.strictObject({ failed: Share.optional(), owed: Share.optional() });
export const OnFailure = z.enum(['stay', 'revert-stage', 'revert-all']);
export type OnFailure = z.infer<typeof OnFailure>;

const Concurrency = z.number().int().min(1).describe('a whole number of sites of at least 1');
const SettleWithin = z
  .union([z.literal('link'), PositiveDuration])
  .describe('`link`, or a duration above 0 such as 30m, 2h or 21d');

const perStage = {
  gate: Name.optional(),
  because: Text.optional(),
  soak: Duration.optional(),
  concurrency: Concurrency.optional(),
  settleWithin: SettleWithin.optional(),
  budget: Budget.optional(),
};
export const Stage = z.strictObject({
  name: Name,
  select: Selector.optional(),
  take: Concurrency.optional(),
  each: z.enum(['region', 'cluster', 'assetType', 'link', 'risk']).optional(),
  order: z.array(Text).min(1).optional(),
  waves: z.array(Share).min(1).default(['100%']),
  spread: z.array(z.string()).optional(),
  rehearse: z.boolean().optional(),
  approve: z.strictObject({ role: z.string(), people: z.number().int().min(1), within: Duration }).optional(),
  ...perStage,
});
export type Stage = z.infer<typeof Stage>;

/** What holds for every stage that does not say otherwise. A gate has no default: it is mandatory. */
const StageDefaults = z.strictObject({
  gate: perStage.gate,
  because: perStage.because,
  soak: Duration.prefault('10m'),
  concurrency: Concurrency.default(10),
  settleWithin: SettleWithin.prefault('link'),
  budget: z.strictObject({ failed: Share.default(0), owed: Share.default('10%') }).prefault({}),
});

const limit = z.number().int().nonnegative().describe('a whole number of at least 0');

export const Metric = z.strictObject({
  name: Name,
  window: PositiveDuration.prefault('1m'),
  query: Text,
  pass: Text,
  fail: Text.optional(),
  series: z.enum(['one', 'per-site']).default('one'),
  source: z.enum(['prometheus', 'sites']).default('prometheus'),
  interval: TimerDuration.prefault('15s'),
  coverage: z.string().regex(PERCENTAGE).default('90%').describe('a percentage from 0% to 100% such as 90%'),
  count: z.number().int().min(1).optional().describe('a whole number of at least 1'),
  failureLimit: limit.default(0),
  inconclusiveLimit: limit.default(0),
  consecutiveErrorLimit: limit.default(4),
});
/** One metric of a gate. Durations in ms. */
export type Metric = z.infer<typeof Metric>;

export const Gate = z.strictObject({ metrics: z.array(Metric).min(1) });
export type Gate = z.infer<typeof Gate>;

export const Strategy = z.strictObject({
  apiVersion: ApiVersion,
  kind: z.literal('Strategy'),
  name: Name,
  owner: Text.optional(),
  prefetch: PositiveDuration.optional(),
  defaults: StageDefaults.prefault({}),
  stages: z.array(Stage).min(1),
  onFailure: OnFailure.default('revert-stage'),
  onInconclusive: z
    .strictObject({ within: PositiveDuration.prefault('4h'), then: OnFailure.default('stay') })
    .prefault({}),
  gates: z.record(Name, Gate).default({}),
});
/** A strategy with every default filled in. Durations in ms. */
export type Strategy = z.infer<typeof Strategy>;

/** The placeholders of a gate's query; everything else after a `$` and a letter is refused. */
export const QUERY_PLACEHOLDERS = ['sites', 'release', 'rollout', 'stage', 'window'] as const;

/** What a stage runs under once the strategy's defaults are taken in; budgets merge key by key. */
export function stageSettings({ defaults }: Pick<Strategy, 'defaults'>, stage: Stage) {
  const gateOf = stage.gate === undefined ? defaults : stage;
  return {
    gate: gateOf.gate,
    because: gateOf === stage ? stage.because : (stage.because ?? defaults.because),
    soak: stage.soak ?? defaults.soak,
    concurrency: stage.concurrency ?? defaults.concurrency,
    settleWithin: stage.settleWithin ?? defaults.settleWithin,
    budget: {
      failed: stage.budget?.failed ?? defaults.budget.failed,
      owed: stage.budget?.owed ?? defaults.budget.owed,
    },
  };
}
