/** The file kinds `Project` (foothold.yaml) and `Agent` (agent.yaml), design §6. */
import { z } from 'zod';
import { LinkName } from './link.js';
import { ApiVersion, Argv, HttpUrl, Name, Text } from './names.js';
import { Window } from './window.js';

export const Project = z.strictObject({
  apiVersion: ApiVersion,
  kind: z.literal('Project'),
  fleet: Text.default('fleet.yaml'),
  strategies: Text.default('strategies/'),
  windows: z.string().optional(),
  guardrails: z.string().optional(),
  depot: z.strictObject({ write: Text.default('depot/'), read: HttpUrl }),
  prometheus: HttpUrl.optional(),
  registry: z
    .string()
    .regex(/^(sqlite:.+|postgres(ql)?:\/\/.+)$/)
    .default('sqlite:registry.db')
    .describe('`sqlite:` and a path, such as sqlite:registry.db, or `postgres://`'),
  controlKey: Text.default('control.key'),
});
export type Project = z.infer<typeof Project>;

const ListenAddress = z
  .string()
  .regex(/^(\[[0-9a-fA-F:.]+\]|[^\s:/]+):\d{1,5}$/)
  .refine((address) => Number(/\d+$/.exec(address)?.[0]) <= 65_535, 'expected a port of at most 65535')
  .describe('a host and a port, such as 127.0.0.1:9464');

export const AgentFile = z.strictObject({
  apiVersion: ApiVersion,
  kind: z.literal('Agent'),
  site: Name,
  data: Text,
  controlKeys: z.array(Text).min(1),
  depot: HttpUrl,
  metrics: ListenAddress.optional(),
  reports: z.record(Name, Argv).default({}),
  // Read by nothing until releases can ask for `secrets`, which are refused until then.
  secrets: Text.optional(),
  uplink: z.array(HttpUrl).default([]),
  profile: Text.optional(),
  // Beyond design §6: the fleet file is not at the site, and timers that suit fibre flood a satellite link.
  link: LinkName.default('cellular'),
  // Beyond design §6 (docs/decisions/0006): when drift may be put back; absent: at any time.
  repairs: z.strictObject({ windows: z.array(Window).min(1).describe('a list of at least one window') }).optional(),
});
/** A site's own configuration. Paths are resolved against the file's directory by the loader. */
export type AgentFile = z.infer<typeof AgentFile>;
