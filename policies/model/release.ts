/** The file kind `Release` (design §6): the immutable desired state of one stream. */
import { z } from 'zod';
import { Duration } from './duration.js';
import { ApiVersion, Digest, Name } from './names.js';

const Argv = z.array(z.string()).min(1);
const Program = z.strictObject({ exec: Argv, timeout: Duration.prefault('30s') });

export const DirectoryDriver = z.strictObject({
  type: z.literal('directory'),
  files: z.string(),
  templates: z.array(z.string()).default([]),
  target: z.string(),
  reload: Argv.optional(),
  timeout: Duration.prefault('30s'),
});
export const ExecDriver = z.strictObject({
  type: z.literal('exec'),
  files: z.string(),
  templates: z.array(z.string()).default([]),
  apply: Argv,
  verify: Argv,
  revert: Argv,
  save: Argv,
  timeout: Duration.prefault('30s'),
});
export const Driver = z.discriminatedUnion('type', [DirectoryDriver, ExecDriver]);
export type Driver = z.infer<typeof Driver>;
export type DirectoryDriver = z.infer<typeof DirectoryDriver>;
export type ExecDriver = z.infer<typeof ExecDriver>;

export const Component = z.strictObject({ name: Name, driver: Driver });
export type Component = z.infer<typeof Component>;

const checkCommon = {
  name: Name,
  every: Duration.prefault('5s'),
  timeout: Duration.prefault('2s'),
  failures: z.number().int().min(1).default(3),
  need: z.enum(['required', 'wanted']).default('required'),
};
const HttpCheck = z.strictObject({ ...checkCommon, http: z.string(), expect: z.number().int().default(200) });
const TcpCheck = z.strictObject({ ...checkCommon, tcp: z.string() });
const ExecCheck = z.strictObject({ ...checkCommon, exec: Argv });
const TlsCheck = z.strictObject({ ...checkCommon, tls: z.string() });
const MetricCheck = z.strictObject({ ...checkCommon, metric: z.string() });
const PeerCheck = z.strictObject({ ...checkCommon, peer: z.string() });
const PersonCheck = z.strictObject({ ...checkCommon, person: z.string() });
/** One of `http`, `tcp`, `exec`; the format also knows `tls`, `metric`, `peer` and `person`. */
export const Check = z.union([HttpCheck, TcpCheck, ExecCheck, TlsCheck, MetricCheck, PeerCheck, PersonCheck]);
export type Check = z.infer<typeof Check>;

export const ReleaseFile = z.strictObject({
  apiVersion: ApiVersion,
  kind: z.literal('Release'),
  stream: Name,
  version: z.string(),
  description: z.string().optional(),
  owner: z.string().optional(),
  change: z.string().optional(),
  undo: z.enum(['automatic', 'none']).default('automatic'),
  requires: z.record(z.string(), z.string()).default({}),
  conflicts: z.record(z.string(), z.string()).default({}),
  vars: z.record(z.string(), z.enum(['string', 'integer', 'number', 'boolean'])).default({}),
  secrets: z.array(Name).default([]),
  components: z.array(Component).min(1).optional(),
  driver: Driver.optional(),
  before: Program.optional(),
  after: Program.optional(),
  checks: z.union([z.array(Check).min(1), z.literal('none')]),
  because: z.string().min(1).optional(),
  alreadySick: z.enum(['reject', 'proceed']).default('reject'),
  first: z.boolean().default(false),
  confirm: z
    .strictObject({
      within: Duration.prefault('10m'),
      healthyFor: Duration.prefault('30s'),
      uplink: z.enum(['ignored', 'required']).default('ignored'),
    })
    .prefault({}),
  watchFor: Duration.prefault('24h'),
});
export type ReleaseFile = z.infer<typeof ReleaseFile>;

/** A release with its flat form unfolded: exactly what agent and policies work on. Durations in ms. */
export type Release = Omit<ReleaseFile, 'components' | 'driver' | 'checks'> & {
  components: Component[];
  checks: Check[];
};

/** The unfolded form of a parsed release file: a flat `driver` becomes the single component `main`. */
export function unfoldRelease(file: ReleaseFile): Release {
  const { components, driver, checks, ...rest } = file;
  const unfolded = components ?? (driver ? [{ name: 'main', driver }] : []);
  return { ...rest, components: unfolded, checks: checks === 'none' ? [] : checks };
}

/** One file of a release. `path` is relative to the release directory, with forward slashes; `mode` is 0o644 or 0o755. */
export const ManifestFile = z.strictObject({
  path: z.string(),
  digest: Digest,
  size: z.number().int().nonnegative(),
  mode: z.number().int(),
});
export type ManifestFile = z.infer<typeof ManifestFile>;

/** What the depot keeps for a release. Its digest is the sha256 of its JCS form. `release` is the filled file as written. */
export const Manifest = z.strictObject({
  format: z.literal('foothold.release/v1'),
  release: z.unknown(),
  files: z.array(ManifestFile),
});
export type Manifest = z.infer<typeof Manifest>;

/** How a release is named in registry, reports and plan. */
export interface ReleaseRef {
  stream: string;
  version: string;
  digest: Digest;
}
