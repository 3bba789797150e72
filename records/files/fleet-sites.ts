/** What a site inherits, and what its references must hold to (design §6). Pure. */
import { TASK_QUEUE } from '../../policies/model/rollout.js';
import { repeatedNames, type Fault, type Path } from '../../policies/model/fault.js';
import type { Fleet, Group, LinkClass, Site, SiteFile } from '../../policies/model/fleet.js';
import { nearestName } from '../../policies/model/nearest.js';
import { isLinkClass, linkClassesOf, linkClassFaults } from './fleet-links.js';

/** Defaults, region, cluster, site: the later wins, `vars` and `versions` key by key. */
export function resolveSite(file: SiteFile, fleet: Fleet, links: Map<string, LinkClass>): Site {
  const { cluster, region } = groupsOf(file, fleet);
  const { defaults } = fleet;
  // the nearest word first
  const layers: Group[] = [
    file,
    declared(fleet.groups.cluster, cluster) ?? {},
    declared(fleet.groups.region, region) ?? {},
    defaults,
  ];
  const nearest = <K extends keyof Group>(key: K) => layers.find((layer) => layer[key] !== undefined)?.[key];
  const linkName = nearest('link') ?? defaults.link;
  const link = links.get(linkName);
  if (!link) throw new TypeError(`the link class ${linkName} of ${file.id} was not checked`);
  const named = { region, cluster, owner: nearest('owner'), assetType: nearest('assetType') };
  return {
    id: file.id,
    ...stated({ ...named, redundancyGroup: file.redundancyGroup }),
    risk: nearest('risk') ?? defaults.risk,
    link,
    queue: file.queue ?? `site-${file.id}`,
    streams: [...(nearest('streams') ?? defaults.streams)],
    versions: mergedKeys(layers.map((layer) => layer.versions)),
    vars: mergedKeys(layers.map((layer) => layer.vars)),
    state: nearest('state') ?? defaults.state,
  };
}

/** Key by key, the nearest layer's word first. */
function mergedKeys<T>(layers: (Record<string, T> | undefined)[]): Record<string, T> {
  return Object.fromEntries(layers.reverse().flatMap((layer) => Object.entries(layer ?? {})));
}

/** A site's cluster may say which region it is in; the site's own word wins. */
function groupsOf(
  site: SiteFile,
  { defaults, groups }: Fleet,
): { region?: string | undefined; cluster?: string | undefined } {
  const cluster = site.cluster ?? defaults.cluster;
  const region = site.region ?? declared(groups.cluster, cluster)?.region ?? defaults.region;
  return { region, cluster };
}

/** A group by its name; a name like `constructor` is no property of the table itself. */
function declared<T>(table: Record<string, T>, name: string | undefined): T | undefined {
  return name !== undefined && Object.hasOwn(table, name) ? table[name] : undefined;
}

/** Without the keys that are there but hold nothing. */
function stated<T extends object>(layer: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(layer).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

/** Faults of the fleet file itself; those of its sites and of included ones are found site by site. */
export function fleetFaults(fleet: Fleet): Fault[] {
  const groups = (['region', 'cluster'] as const).flatMap((kind) =>
    Object.entries(fleet.groups[kind]).flatMap(([name, group]) => groupFaults(group, fleet, ['groups', kind, name])),
  );
  return [...linkClassFaults(fleet.linkClasses), ...groupFaults(fleet.defaults, fleet, ['defaults']), ...groups];
}

export function siteFaults(site: SiteFile, fleet: Fleet, path: Path): Fault[] {
  const queue: Fault[] =
    site.queue === TASK_QUEUE
      ? [{ path: [...path, 'queue'], message: `expected another queue: \`${TASK_QUEUE}\` is the control worker's` }]
      : [];
  return [...groupFaults(site, fleet, path), ...queue];
}

function groupFaults(group: Group, fleet: Fleet, path: Path): Fault[] {
  return [
    ...linkFaults(group.link, fleet, [...path, 'link']),
    ...mistypedGroup('region', group.region, fleet, [...path, 'region']),
    ...mistypedGroup('cluster', group.cluster, fleet, [...path, 'cluster']),
    ...repeatedNames('the stream', group.streams ?? [], (i) => [...path, 'streams', i]),
  ];
}

function linkFaults(link: string | undefined, fleet: Fleet, path: Path): Fault[] {
  if (link === undefined || isLinkClass(fleet.linkClasses, link)) return [];
  const known = [...linkClassesOf(fleet.linkClasses).keys()];
  const near = nearestName(link, known);
  const hint = near === undefined ? `; known: ${known.join(', ')}` : `; the nearest is \`${near}\``;
  return [{ path, message: `expected the name of a link class, found \`${link}\`${hint}` }];
}

/**
 * A region or cluster need not be declared under `groups`. But a name that is one slip away from a declared one would
 * silently lose what it should inherit; `north-1` beside `north-2` is no slip.
 */
function mistypedGroup(kind: 'region' | 'cluster', name: string | undefined, fleet: Fleet, path: Path): Fault[] {
  const known = Object.keys(fleet.groups[kind]);
  if (name === undefined || known.includes(name) || name.length < 4) return [];
  const near = known.find((other) => isSlip(name, other));
  if (near === undefined) return [];
  const remedy = `write \`${near}\`, or declare \`${name}: {}\` under \`groups.${kind}\``;
  return [
    { path, message: `expected a ${kind} of this fleet, found \`${name}\`, one slip from \`${near}\`: ${remedy}` },
  ];
}

/** Equal but for case, one letter, or two swapped neighbours. */
function isSlip(a: string, b: string): boolean {
  const [x, y] = [a.toLowerCase(), b.toLowerCase()];
  if (x === y) return true;
  if (x.replace(/\d/g, '') === y.replace(/\d/g, '')) return false;
  let head = 0;
  while (head < x.length && x[head] === y[head]) head++;
  const swapped = x.slice(0, head) + (x[head + 1] ?? '') + (x[head] ?? '') + x.slice(head + 2);
  return (
    swapped === y ||
    x.slice(head + 1) === y.slice(head + 1) ||
    x.slice(head + 1) === y.slice(head) ||
    x.slice(head) === y.slice(head + 1)
  );
}
