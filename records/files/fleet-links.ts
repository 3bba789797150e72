/** Link classes: those built in, overridden or extended by a fleet (design §6 "Defaults"). */
import type { Fault } from '../../policies/model/fault.js';
import type { Fleet, LinkClass } from '../../policies/model/fleet.js';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

type Patience = Omit<LinkClass, 'name'>;

/** `startWithin` and the courier's heartbeat are not in §6: as long as such a link may need to hand over one task. */
const BUILT_IN: Readonly<Record<string, Patience>> = {
  fibre: { settleWithin: 30 * MINUTE, startWithin: 30 * SECOND, heartbeat: 10 * SECOND },
  cellular: { settleWithin: 2 * HOUR, startWithin: MINUTE, heartbeat: 30 * SECOND },
  microwave: { settleWithin: 2 * HOUR, startWithin: MINUTE, heartbeat: 30 * SECOND },
  satellite: { settleWithin: DAY, startWithin: 2 * MINUTE, heartbeat: MINUTE },
  courier: { settleWithin: 21 * DAY, startWithin: 5 * MINUTE, heartbeat: 5 * MINUTE },
};

const FIELDS = ['settleWithin', 'startWithin', 'heartbeat'] as const;

/** Every link class that a site of the fleet may name. */
export function linkClassesOf(written: Fleet['linkClasses']): Map<string, LinkClass> {
  const patience = Object.entries(writtenLinkClasses(written));
  // A class of the fleet's own has all three: linkClassFaults refused it otherwise.
  return new Map(patience.map(([name, given]) => [name, { name, ...(given as Patience) }]));
}

/** True for a name that a site may give as its link. */
export function isLinkClass(written: Fleet['linkClasses'], name: string): boolean {
  return Object.hasOwn(BUILT_IN, name) || Object.hasOwn(written, name);
}

/** The same as the file would have to say it: what `--show-defaults` shows. */
export function writtenLinkClasses(written: Fleet['linkClasses']): Fleet['linkClasses'] {
  const overridden = Object.entries(BUILT_IN).map(([name, patience]) => {
    return [name, { ...patience, ...(Object.hasOwn(written, name) ? present(written[name] ?? {}) : {}) }] as const;
  });
  const added = Object.entries(written).filter(([name]) => !Object.hasOwn(BUILT_IN, name));
  return Object.fromEntries<Fleet['linkClasses'][string]>([...overridden, ...added]);
}

/** A class that is not built in has nothing to fall back on. */
export function linkClassFaults(written: Fleet['linkClasses']): Fault[] {
  return Object.entries(written).flatMap(([name, given]): Fault[] => {
    if (Object.hasOwn(BUILT_IN, name)) return [];
    const missing = FIELDS.filter((field) => given[field] === undefined);
    if (missing.length === 0) return [];
    const needs = `expected ${FIELDS.join(', ')}, as \`${name}\` is not a built-in link class`;
    return [{ path: ['linkClasses', name], on: 'key', message: `${needs}; missing: ${missing.join(', ')}` }];
  });
}

function present(given: Fleet['linkClasses'][string]): Partial<Patience> {
  const fields = [...FIELDS, 'bandwidth'] as const;
  return Object.fromEntries(fields.flatMap((field) => (given[field] === undefined ? [] : [[field, given[field]]])));
}
