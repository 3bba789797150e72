/** The file kinds `Project` (foothold.yaml) and `Agent` (agent.yaml), design §6. */
import { z } from 'zod';
import { ApiVersion, Name } from './names.js';

export const Project = z.strictObject({
  apiVersion: ApiVersion,
  kind: z.literal('Project'),
  fleet: z.string().default('fleet.yaml'),
  strategies: z.string().default('strategies/'),
  windows: z.string().optional(),
  guardrails: z.string().optional(),
  depot: z.strictObject({ write: z.string().default('depot/'), read: z.string() }),
  prometheus: z.string().optional(),
  registry: z.string().default('sqlite:registry.db'),
  controlKey: z.string().default('control.key'),
});
export type Project = z.infer<typeof Project>;

export const AgentFile = z.strictObject({
  apiVersion: ApiVersion,
  kind: z.literal('Agent'),
  site: Name,
  data: z.string(),
  controlKeys: z.array(z.string()).min(1),
  depot: z.string(),
  metrics: z.string().optional(),
  reports: z.record(z.string(), z.array(z.string()).min(1)).default({}),
  secrets: z.string().optional(),
  uplink: z.array(z.string()).default([]),
  profile: z.string().optional(),
});
/** A site's own configuration. Paths are resolved against the file's directory by the loader. */
export type AgentFile = z.infer<typeof AgentFile>;
