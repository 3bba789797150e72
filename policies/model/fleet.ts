/** The file kind `Fleet` (design §6) and the resolved site that plans are made of. */
import { z } from 'zod';
import { Duration } from './duration.js';
import { ApiVersion, Name, Vars } from './names.js';

export const RISKS = ['low', 'medium', 'high'] as const;
export const Risk = z.enum(RISKS);
export type Risk = z.infer<typeof Risk>;

export const LinkClassFile = z.strictObject({
  settleWithin: Duration.optional(),
  startWithin: Duration.optional(),
  heartbeat: Duration.optional(),
  bandwidth: z.string().optional(),
  clockTolerance: Duration.optional(),
  syncGap: Duration.optional(),
});
/** What a link class means for the centre's patience. Milliseconds. */
export interface LinkClass {
  name: string;
  settleWithin: number;
  startWithin: number;
  heartbeat: number;
}

const inherited = {
  region: z.string().optional(),
  cluster: z.string().optional(),
  owner: z.string().optional(),
  timezone: z.string().optional(),
  assetType: z.string().optional(),
  risk: Risk.optional(),
  link: z.string().optional(),
  streams: z.array(Name).optional(),
  versions: z.record(z.string(), z.string()).optional(),
  vars: Vars.optional(),
  state: z.enum(['active', 'maintenance', 'retired']).optional(),
};
export const SiteFile = z.strictObject({
  id: Name,
  ...inherited,
  dependsOn: z.array(Name).optional(),
  neighbours: z.array(Name).optional(),
  redundancyGroup: Name.optional(),
  queue: z.string().optional(),
});
export type SiteFile = z.infer<typeof SiteFile>;

export const Group = z.strictObject(inherited);
export const Fleet = z.strictObject({
  apiVersion: ApiVersion,
  kind: z.literal('Fleet'),
  include: z.array(z.string()).optional(),
  linkClasses: z.record(Name, LinkClassFile).default({}),
  defaults: Group.prefault({}),
  groups: z
    .strictObject({ region: z.record(z.string(), Group).default({}), cluster: z.record(z.string(), Group).default({}) })
    .prefault({}),
  sites: z.array(SiteFile).default([]),
});
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
/** The fleet as plans see it: every site resolved, ordered by id; `digest` identifies the imported files. */
export interface ResolvedFleet {
  digest: string;
  sites: Site[];
}
