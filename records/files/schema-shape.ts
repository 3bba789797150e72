/** Reading zod schemas: which keys are known at a place, what is expected there, and which member of a union is meant. */
import { z } from 'zod';
import type { Path } from '../../policies/model/fault.js';

export type Schema = z.core.$ZodType;

export function definition(schema: Schema): z.core.$ZodTypes['_zod']['def'] {
  return (schema as z.core.$ZodTypes)._zod.def;
}

/** Without defaults and optionality, and as it is written rather than as it is used. */
export function unwrap(schema: Schema): Schema {
  const def = definition(schema);
  if (def.type === 'optional' || def.type === 'default' || def.type === 'prefault') return unwrap(def.innerType);
  return def.type === 'pipe' ? unwrap(def.in) : schema;
}

/** True for what is written as one thing and used as another, such as a duration. */
export function isConverted(schema: Schema): boolean {
  const def = definition(schema);
  if (def.type === 'optional' || def.type === 'default' || def.type === 'prefault') return isConverted(def.innerType);
  return def.type === 'pipe';
}

/** The known keys of a map with fixed ones, else undefined. */
export function shapeOf(schema: Schema | undefined): Record<string, Schema> | undefined {
  const def = schema && definition(unwrap(schema));
  return def?.type === 'object' ? def.shape : undefined;
}

/** The schema at `path`, going through unions by the member that `data` evidently means. */
export function descend(schema: Schema, data: unknown, path: Path): Schema | undefined {
  let here: Schema | undefined = schema;
  let value = data;
  for (const part of path) {
    here = here && below(here, value, part);
    value = typeof value === 'object' && value !== null ? (value as Record<string | number, unknown>)[part] : undefined;
  }
  return here;
}

function below(schema: Schema, value: unknown, part: string | number): Schema | undefined {
  const inner = unwrap(schema);
  const def = definition(inner);
  if (def.type === 'object') return def.shape[part];
  if (def.type === 'array') return def.element;
  if (def.type === 'record') return def.valueType;
  if (def.type !== 'union') return undefined;
  const option = meantOption(inner, value)?.option;
  return option && below(option, value, part);
}

/** What a file should say there, in words: the schema's own description, or one made of its type. */
export function expectation(schema: Schema): string {
  const own = describedBy(schema);
  if (own !== undefined) return own;
  const def = definition(unwrap(schema));
  if (def.type === 'string') return 'text';
  if (def.type === 'number') return 'a number';
  if (def.type === 'boolean') return '`true` or `false`';
  if (def.type === 'array') return def.checks?.length ? 'a list of at least one entry' : 'a list';
  if (def.type === 'object' || def.type === 'record') return 'a map of keys and values';
  if (def.type === 'literal') return either(def.values.map((value) => `\`${String(value)}\``));
  if (def.type === 'enum') return either(Object.values(def.entries).map((value) => `\`${String(value)}\``));
  if (def.type === 'union') return def.options.map(expectation).join(', or ');
  return 'something else';
}

/** `a, b or c` */
export function either(words: string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1) ?? ''}`;
}

function describedBy(schema: Schema): string | undefined {
  const own = z.globalRegistry.get(schema)?.description;
  if (own !== undefined) return own;
  const def = definition(schema);
  const wraps = def.type === 'optional' || def.type === 'default' || def.type === 'prefault';
  return wraps ? describedBy(def.innerType) : undefined;
}

interface Meant {
  option?: Schema;
  index: number;
  /** Keys that tell the members apart, where none or several of them are present. */
  kinds?: string[];
  present?: string[];
}

/** Which member of the union `schema` the value means, by its kind of value, discriminator, or the one key only it has. */
export function meantOption(schema: Schema, value: unknown): Meant | undefined {
  const def = definition(unwrap(schema));
  if (def.type !== 'union') return undefined;
  const options = def.options;
  if (Array.isArray(value)) return only(options, (option) => definition(unwrap(option)).type === 'array');
  if (typeof value !== 'object' || value === null) return undefined;
  const map = value as Record<string, unknown>;
  const discriminator = 'discriminator' in def ? String(def.discriminator) : undefined;
  if (discriminator !== undefined) {
    return only(options, (option) => literals(shapeOf(option)?.[discriminator]).includes(map[discriminator]));
  }
  const kinds = options.map((option) => kindKey(option, options));
  if (kinds.some((kind) => kind === undefined)) return only(options, (option) => shapeOf(option) !== undefined);
  const present = Object.keys(map).filter((key) => kinds.includes(key));
  if (present.length !== 1) return { index: -1, kinds: kinds as string[], present };
  const index = kinds.indexOf(present[0]);
  const option = options[index];
  return option && { option, index };
}

function only(options: readonly Schema[], fits: (option: Schema) => boolean): Meant | undefined {
  const index = options.findIndex(fits);
  const option = options[index];
  return option && { option, index };
}

function literals(schema: Schema | undefined): unknown[] {
  const def = schema && definition(unwrap(schema));
  return def?.type === 'literal' ? [...def.values] : [];
}

/** The first key that must be there and that no other member has. */
function kindKey(option: Schema, options: readonly Schema[]): string | undefined {
  const others = options.filter((other) => other !== option).map(shapeOf);
  return Object.entries(shapeOf(option) ?? {}).find(
    ([key, field]) => field._zod.optin !== 'optional' && others.every((shape) => !shape || !(key in shape)),
  )?.[0];
}
