/** The file kind `Fleet` (design §6) and the resolved site that plans are made of. */
import { z } from 'zod';
import { Bandwidth } from './bandwidth.js';
import { Duration, PositiveDuration } from './duration.js';
import { ApiVersion, GroupName, Name, Text, Vars } from './names.js';

export const RISKS = ['low', 'medium', 'high'] as const;
export const Risk = z.enum(RISKS);
export type Risk = z.infer<typeof Risk>;

export const LinkClassFile = z.strictObject({
  settleWithin: PositiveDuration.optional(),
  startWithin: PositiveDuration.optional(),
  heartbeat: PositiveDuration.optional(),
  bandwidth: Bandwidth.optional(),
  clockTolerance: Duration.optional(),
  syncGap: Duration.optional(),
});
/** What a link class means for the centre's patience. Milliseconds. */
export interface LinkClass {
  name: string;
  settleWithin: number;
  startWithin: number;
  heartbeat: number;
  /** Bits a second that a prefetch may use; absent: no limit. */
  bandwidth?: number;
}

const State = z.enum(['active', 'maintenance', 'retired']);

const inherited = {
  owner: Text.optional(),
  timezone: z.string().optional(),
  assetType: GroupName.optional(),
  risk: Risk.optional(),
  link: Name.optional(),
  streams: z.array(Name).optional(),
  versions: z.record(Name, Text.describe('a version in quotes, such as "3.4.1"')).optional(),
  vars: Vars.optional(),
  state: State.optional(),
};
const region = GroupName.optional();
const cluster = GroupName.optional();

export const SiteFile = z.strictObject({
  id: Name,
  region,
  cluster,
  ...inherited,
  dependsOn: z.array(Name).optional(),
  neighbours: z.array(Name).optional(),
  redundancyGroup: Name.optional(),
  queue: Text.optional(),
});
export type SiteFile = z.infer<typeof SiteFile>;
/** An included file: a list of sites, bare or under `sites`. */
export const IncludedSites = z.strictObject({ sites: z.array(SiteFile) });

const Defaults = z.strictObject({
  region,
  cluster,
  ...inherited,
  risk: Risk.default('high'),
  link: Name.default('cellular'),
  streams: z.array(Name).default([]),
  state: State.default('active'),
});
const RegionGroup = z.strictObject(inherited);
const ClusterGroup = z.strictObject({ region, ...inherited });
/** What defaults, a region or a cluster can hand down. */
export type Group = z.infer<typeof ClusterGroup> & { cluster?: string | undefined };

export const Fleet = z.strictObject({
  apiVersion: ApiVersion,
  kind: z.literal('Fleet'),
  include: z.array(Text).default([]),
  linkClasses: z.record(Name, LinkClassFile).default({}),
  defaults: Defaults.prefault({}),
  groups: z
    .strictObject({
      region: z.record(GroupName, RegionGroup).default({}),
      cluster: z.record(GroupName, ClusterGroup).default({}),
    })
    .prefault({}),
  sites: z.array(SiteFile).default([]),
});
/** One fleet file with its defaults filled in; included files are apart. Durations in ms. */
export type Fleet = z.infer<typeof Fleet>;

/** A site with everything inherited and defaulted. `link` is resolved to its class. */
export interface Site {
  id: string;
  region?: string;
  cluster?: string;
  owner?: string;
  assetType?: string;
  redundancyGroup?: string;
  risk: Risk;
  link: LinkClass;
  queue: string;
  streams: string[];
  versions: Record<string, string>;
  vars: Vars;
  state: 'active' | 'maintenance' | 'retired';
}
/** The fleet as plans see it: every site resolved, ordered by id; `digest` identifies the resolved sites. */
export interface ResolvedFleet {
  digest: string;
  sites: Site[];
}
