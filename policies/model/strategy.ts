/** The file kind `Strategy` (design §6): stages, waves, gates, budgets, and what to do on failure. */
import { z } from 'zod';
import { Duration } from './duration.js';
import { ApiVersion, Name } from './names.js';

/** Whole sites (`3`) or a share (`"10%"`) that is rounded down. */
export const Share = z.union([
  z.number().int().nonnegative(),
  z.string().regex(/^(100|[1-9]?\d)(\.\d+)?%$/, 'expected a number of sites or a percentage such as 10%'),
]);
export type Share = z.infer<typeof Share>;

export const SELECTOR_KEYS = ['id', 'region', 'cluster', 'assetType', 'link', 'risk'] as const;
const oneOrMany = z.union([z.string(), z.array(z.string()).min(1)]);
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

const perStage = {
  gate: Name.optional(),
  because: z.string().min(1).optional(),
  soak: Duration.optional(),
  concurrency: z.number().int().min(1).optional(),
  settleWithin: z.union([z.literal('link'), Duration]).optional(),
  budget: Budget.optional(),
};
export const Stage = z.strictObject({
  name: Name,
  select: Selector.optional(),
  take: z.number().int().min(1).optional(),
  each: z.enum(['region', 'cluster', 'assetType', 'link', 'risk']).optional(),
  order: z.array(z.string()).optional(),
  waves: z.array(Share).min(1).default(['100%']),
  spread: z.array(z.string()).optional(),
  rehearse: z.boolean().optional(),
  approve: z.strictObject({ role: z.string(), people: z.number().int().min(1), within: Duration }).optional(),
  ...perStage,
});
export type Stage = z.infer<typeof Stage>;

export const Metric = z.strictObject({
  name: Name,
  window: Duration.prefault('1m'),
  query: z.string(),
  pass: z.string(),
  fail: z.string().optional(),
  series: z.enum(['one', 'per-site']).default('one'),
  source: z.enum(['prometheus', 'sites']).default('prometheus'),
  interval: Duration.prefault('15s'),
  coverage: z
    .string()
    .regex(/^(100|[1-9]?\d)(\.\d+)?%$/)
    .default('90%'),
  count: z.number().int().min(1).optional(),
  failureLimit: z.number().int().nonnegative().default(0),
  inconclusiveLimit: z.number().int().nonnegative().default(0),
  consecutiveErrorLimit: z.number().int().nonnegative().default(4),
});
/** One metric of a gate. Durations in ms. */
export type Metric = z.infer<typeof Metric>;

export const Gate = z.strictObject({ metrics: z.array(Metric).min(1) });
export type Gate = z.infer<typeof Gate>;

export const Strategy = z.strictObject({
  apiVersion: ApiVersion,
  kind: z.literal('Strategy'),
  name: Name,
  owner: z.string().optional(),
  prefetch: Duration.optional(),
  defaults: z.strictObject(perStage).prefault({}),
  stages: z.array(Stage).min(1),
  onFailure: OnFailure.default('revert-stage'),
  onInconclusive: z.strictObject({ within: Duration.prefault('4h'), then: OnFailure.default('stay') }).prefault({}),
  gates: z.record(Name, Gate).default({}),
});
export type Strategy = z.infer<typeof Strategy>;
