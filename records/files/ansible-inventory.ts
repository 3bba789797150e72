/**
 * Sites from an Ansible inventory, as `ansible-inventory --list` prints it. Variables named `foothold_…` say what a site
 * is; a group `region_<name>` or `cluster_<name>` says where, for hosts without the variable (docs/operating/sites.md).
 */
import { z } from 'zod';
import { MistakeError } from '../../policies/model/failure.js';
import { SiteFile } from '../../policies/model/fleet.js';
import { didYouMean } from '../../policies/model/nearest.js';
import type { SourceFile } from './located.js';
import { readText } from './read-text.js';

const Group = z.object({ hosts: z.array(z.string()).default([]), children: z.array(z.string()).default([]) });
const Inventory = z
  .object({ _meta: z.object({ hostvars: z.record(z.string(), z.record(z.string(), z.unknown())).default({}) }) })
  .catchall(z.unknown());

/** The variable of each field of a site. */
const FIELDS: Record<string, keyof SiteFile> = {
  foothold_id: 'id',
  foothold_region: 'region',
  foothold_cluster: 'cluster',
  foothold_owner: 'owner',
  foothold_asset_type: 'assetType',
  foothold_risk: 'risk',
  foothold_link: 'link',
  foothold_streams: 'streams',
  foothold_versions: 'versions',
  foothold_vars: 'vars',
  foothold_state: 'state',
  foothold_redundancy_group: 'redundancyGroup',
  foothold_queue: 'queue',
};
const PREFIX = 'foothold_';
/** With a group of this name, its hosts alone are sites. */
const SITES_GROUP = 'foothold';

/** One file a host, so that whatever is wrong names it. Throws MistakeError FLEET_INVALID with a line for every host that cannot be a site. */
export async function readAnsibleSites(path: string): Promise<SourceFile[]> {
  const inventory = parseInventory(path, await readText(path, 'FLEET_INVALID'));
  const groups = groupsOf(inventory);
  const wrong: string[] = [];
  const sites = hostsOf(inventory, groups).map((host) => {
    const { site, faults } = siteOf(host, inventory._meta.hostvars[host] ?? {}, groups);
    wrong.push(...faults.map((fault) => `${path}: host ${host}: ${fault}`));
    return { host, site };
  });
  if (sites.length === 0) wrong.push(`${path}: expected hosts, got none`);
  if (wrong.length > 0) throw new MistakeError('FLEET_INVALID', wrong[0] ?? '', wrong);
  return sites.map(({ host, site }) => ({
    path: `${path}: host ${host}`,
    data: { sites: [site] },
    root: { at: { line: 1, column: 1 } },
  }));
}

function parseInventory(path: string, text: string): z.infer<typeof Inventory> {
  try {
    return Inventory.parse(JSON.parse(text));
  } catch {
    const message = `expected the JSON of \`ansible-inventory --list\` at ${path}, with _meta.hostvars; got something else`;
    throw new MistakeError('FLEET_INVALID', message);
  }
}

/** Hosts of each group, those of its children included. A group that is its own descendant ends there. */
function groupsOf(inventory: z.infer<typeof Inventory>): Map<string, Set<string>> {
  const written = new Map<string, z.infer<typeof Group>>();
  for (const [name, value] of Object.entries(inventory)) {
    const group = Group.safeParse(value);
    if (name !== '_meta' && group.success) written.set(name, group.data);
  }
  const below = (name: string, seen: Set<string>): string[] => {
    const group = written.get(name);
    if (!group || seen.has(name)) return [];
    const within = new Set([...seen, name]);
    return [...group.hosts, ...group.children.flatMap((child) => below(child, within))];
  };
  return new Map([...written.keys()].map((name) => [name, new Set(below(name, new Set()))]));
}

function hostsOf(inventory: z.infer<typeof Inventory>, groups: Map<string, Set<string>>): string[] {
  const own = groups.get(SITES_GROUP);
  if (own) return [...own].sort();
  const grouped = [...groups.values()].flatMap((hosts) => [...hosts]);
  return [...new Set([...grouped, ...Object.keys(inventory._meta.hostvars)])].sort();
}

function siteOf(
  host: string,
  vars: Record<string, unknown>,
  groups: Map<string, Set<string>>,
): { site: unknown; faults: string[] } {
  const said = Object.entries(vars).filter(([name]) => name.startsWith(PREFIX));
  const unknown = said.filter(([name]) => !Object.hasOwn(FIELDS, name));
  const faults = unknown.map(([name]) => `unknown variable ${name}.${didYouMean(name, Object.keys(FIELDS))}`);
  const fields = said.flatMap(([name, value]) => {
    const field = Object.hasOwn(FIELDS, name) ? FIELDS[name] : undefined;
    return field === undefined ? [] : [[field, asField(field, value)] as const];
  });
  const site: Record<string, unknown> = { id: host.toLowerCase(), ...Object.fromEntries(fields) };
  for (const kind of ['region', 'cluster'] as const) {
    const names = [...groups].filter(([name, hosts]) => name.startsWith(`${kind}_`) && hosts.has(host));
    if (site[kind] !== undefined || names.length === 0) continue;
    site[kind] = names[0]?.[0].slice(kind.length + 1);
    if (names.length > 1) {
      const both = names.map(([name]) => name).join(' and ');
      faults.push(`is in ${both}: say which ${kind} it is with foothold_${kind}`);
    }
  }
  const read = SiteFile.safeParse(site);
  const shape = read.success ? [] : read.error.issues;
  return { site, faults: [...faults, ...shape.map((issue) => `${issue.path.join('.')}: ${issue.message}`)] };
}

/** An inventory in INI form knows only text: `edge-proxy,psk` is a list there. */
function asField(field: keyof SiteFile, value: unknown): unknown {
  if (field !== 'streams' || typeof value !== 'string') return value;
  return value
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
}
