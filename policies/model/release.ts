/** The file kind `Release` (design §6): the immutable desired state of one stream. */
import { z } from 'zod';
import { Check } from './check.js';
import { Duration, TimerDuration } from './duration.js';
import { MistakeError } from './failure.js';
import { pathText, type Fault } from './fault.js';
import { ApiVersion, Argv, Digest, Name, Text, VarName } from './names.js';
import { notYetFaults } from './not-yet.js';
import { releaseFaults } from './release-rules.js';

const Program = z.strictObject({ exec: Argv, timeout: TimerDuration.prefault('30s') });

export const DirectoryDriver = z.strictObject({
  type: z.literal('directory'),
  files: Text,
  templates: z.array(Text).default([]),
  target: Text,
  reload: Argv.optional(),
  timeout: TimerDuration.prefault('30s'),
});
export const ExecDriver = z.strictObject({
  type: z.literal('exec'),
  files: Text,
  templates: z.array(Text).default([]),
  apply: Argv,
  verify: Argv,
  revert: Argv,
  save: Argv,
  timeout: TimerDuration.prefault('30s'),
});
export const Driver = z.discriminatedUnion('type', [DirectoryDriver, ExecDriver]);
export type Driver = z.infer<typeof Driver>;
export type DirectoryDriver = z.infer<typeof DirectoryDriver>;
export type ExecDriver = z.infer<typeof ExecDriver>;

export const Component = z.strictObject({ name: Name, driver: Driver });
export type Component = z.infer<typeof Component>;

export { Check };

const SemverRange = Text.describe('a semver range in quotes, such as ">=3.2 <5"');

/** What is done about paths at a target that are not as the release has them; the first rule that names one decides. */
const DriftRule = z.strictObject({
  paths: z.array(Text).min(1).describe('a list of at least one path below the target, `*` and `**` allowed'),
  then: z.enum(['alert', 'repair', 'accept']),
  component: Name.optional(),
});

export const ReleaseFile = z.strictObject({
  apiVersion: ApiVersion,
  kind: z.literal('Release'),
  stream: Name,
  version: Text.describe('a semver version in quotes, such as "2.4.0"'),
  description: z.string().optional(),
  owner: z.string().optional(),
  change: z.string().optional(),
  undo: z.enum(['automatic', 'none']).default('automatic'),
  requires: z.record(Name, SemverRange).default({}),
  conflicts: z.record(Name, SemverRange).default({}),
  vars: z.record(VarName, z.enum(['string', 'integer', 'number', 'boolean'])).default({}),
  secrets: z.array(Name).default([]),
  components: z.array(Component).min(1).optional(),
  driver: Driver.optional(),
  before: Program.optional(),
  after: Program.optional(),
  checks: z.union([z.array(Check).min(1).describe('a list of at least one check'), z.literal('none')]),
  because: Text.optional(),
  alreadySick: z.enum(['reject', 'proceed']).default('reject'),
  first: z.boolean().default(false),
  confirm: z
    .strictObject({
      within: TimerDuration.prefault('10m'),
      healthyFor: Duration.prefault('30s'),
      uplink: z.enum(['ignored', 'required']).default('ignored'),
    })
    .prefault({}),
  // No default: a release that does not speak of it keeps its digest, and agents of before take it.
  drift: z.array(DriftRule).min(1).describe('a list of at least one rule').optional(),
  watchFor: Duration.prefault('24h'),
});
/** The file with every default filled in. Durations in ms. */
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

/** The file as one would write it with every default spelled out; `parseReleaseData` of it gives the same release. */
export function fillRelease(file: ReleaseFile): unknown {
  return z.encode(ReleaseFile, file);
}

/**
 * The release of a manifest, which carries the filled file. An older agent meets a newer release here: what it cannot
 * do is refused. Throws MistakeError RELEASE_INVALID naming every fault.
 */
export function parseReleaseData(data: unknown): Release {
  const read = ReleaseFile.safeParse(data);
  const shape: Fault[] = (read.error?.issues ?? []).map(({ path, message }) => ({
    path: path.map((part) => (typeof part === 'number' ? part : String(part))),
    message,
  }));
  const faults = [...notYetFaults('Release', data), ...shape, ...(read.success ? releaseFaults(read.data) : [])];
  if (read.success && faults.length === 0) return unfoldRelease(read.data);
  const lines = faults.map(({ path, message }) => (path.length > 0 ? `\`${pathText(path)}\`: ${message}` : message));
  throw new MistakeError('RELEASE_INVALID', `expected a valid release, found: ${lines.join('; ')}`, lines);
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
