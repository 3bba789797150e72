/** Variables: what the release declares or uses has a value of the right type (design §6). */
import type { VarValue } from '../../model/names.js';
import type { Release } from '../../model/release.js';
import { namesWithoutValue } from '../../render/release.js';
import type { SiteCheck } from '../checks.js';

type VarType = Release['vars'][string];

const IS: Record<VarType, (value: VarValue) => boolean> = {
  string: (value) => typeof value === 'string',
  integer: (value) => Number.isInteger(value),
  number: (value) => Number.isFinite(value),
  boolean: (value) => typeof value === 'boolean',
};

export const variables: SiteCheck = {
  name: 'variables',
  needsReport: false,
  atSite: true,
  judge({ release, uses }, { vars }) {
    const declared = Object.entries(release.vars);
    const names = [...declared.map(([name]) => name), ...uses.map((use) => use.name)];
    const missing = namesWithoutValue(names, vars).map((name) => {
      const where = [...new Set(uses.filter((use) => use.name === name).map((use) => use.where))];
      const used = where.length > 0 ? `used in ${where.join(', ')}` : 'declared by the release';
      return { result: 'block' as const, code: 'VARIABLE_MISSING' as const, detail: `no value for ${name}, ${used}` };
    });
    const wrong = declared.flatMap(([name, type]) => {
      const value = Object.hasOwn(vars, name) ? vars[name] : undefined;
      if (value === undefined || IS[type](value)) return [];
      const detail = `expected ${name} to be of type ${type}, got ${JSON.stringify(value)}`;
      return [{ result: 'block' as const, code: 'VARIABLE_TYPE' as const, detail }];
    });
    return [...missing, ...wrong];
  },
};
