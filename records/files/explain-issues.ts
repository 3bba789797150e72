/** What zod found, in words that name what the author meant: expected, found, and the nearest known key. */
import type { z } from 'zod';
import type { Fault, Path } from '../../policies/model/fault.js';
import { nearestName } from '../../policies/model/nearest.js';
import { NOT_YET } from '../../policies/model/not-yet.js';
import {
  definition,
  descend,
  either,
  expectation,
  isConverted,
  meantOption,
  shapeOf,
  unwrap,
  type Schema,
} from './schema-shape.js';

type Issue = z.core.$ZodIssue;

/** One fault or more for each issue of a failed parse of `data` by `schema`. */
export function explainIssues(schema: Schema, data: unknown, issues: Issue[]): Fault[] {
  return issues.flatMap((issue) => explain(schema, data, issue, []));
}

function explain(root: Schema, rootData: unknown, issue: Issue, base: Path): Fault[] {
  const below = issue.path.map((part) => (typeof part === 'number' ? part : String(part)));
  const path = [...base, ...below];
  const declared = descend(root, rootData, below);
  const value = valueAt(rootData, below);
  // zod names the union's own path where only one of its members came close
  const schema = (issue.code !== 'invalid_union' && declared && meantOption(declared, value)?.option) || declared;
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownKey(schema, key, path));
  if (issue.code === 'invalid_union' && issue.discriminator === undefined) {
    return explainUnion(schema, value, issue.errors, path);
  }
  if (issue.code === 'invalid_key') return [{ path, on: 'key', message: wrongKey(root, rootData, below) }];
  if (value === undefined) return [missing(schema, issue, path)];
  if (issue.code === 'custom') return [{ path, message: `${issue.message}, found ${describeValue(value)}` }];
  return [{ path, message: mismatch(schema, issue, value) }];
}

function missing(schema: Schema | undefined, issue: Issue, path: Path): Fault {
  const what = expected(schema, issue);
  return { path: path.slice(0, -1), message: `\`${path.at(-1) ?? ''}\` is missing: expected ${what}` };
}

function mismatch(schema: Schema | undefined, issue: Issue, value: unknown): string {
  const quote = typeof value === 'number' && issue.code === 'invalid_type' && issue.expected === 'string';
  const words = 'values' in issue ? issue.values.map(String) : 'options' in issue ? optionsOf(issue) : [];
  const near = typeof value === 'string' ? nearestName(value, words) : undefined;
  const hint =
    quote && wantsQuotes(schema) ? '; put it in quotes' : near === undefined ? '' : `; the nearest is \`${near}\``;
  return `expected ${expected(schema, issue)}, found ${describeValue(value)}${hint}`;
}

function expected(schema: Schema | undefined, issue: Issue): string {
  if (issue.code === 'invalid_union') return either(optionsOf(issue).map((word) => `\`${word}\``));
  return schema === undefined ? 'something else' : expectation(schema);
}

function optionsOf(issue: Issue): string[] {
  return issue.code === 'invalid_union' && 'options' in issue ? (issue.options as unknown[]).map(String) : [];
}

/** Quotes help where text of any form is meant; they do not turn `5` into a duration. */
function wantsQuotes(schema: Schema | undefined): boolean {
  return schema !== undefined && definition(unwrap(schema)).type === 'string' && !isConverted(schema);
}

function unknownKey(schema: Schema | undefined, key: string, path: Path): Fault {
  const known = available(Object.keys(shapeOf(schema) ?? {}), path);
  return { path: [...path, key], on: 'key', message: `unknown key \`${key}\`${keyHint(key, known)}` };
}

function keyHint(key: string, known: string[]): string {
  const near = nearestName(key, known);
  if (near !== undefined) return `; the nearest known key is \`${near}\``;
  return known.length > 0 ? `; known keys: ${known.join(', ')}` : '';
}

/** Nobody is pointed at a key that is refused a moment later. */
function available(keys: string[], path: Path): string[] {
  const here = path.map((part) => (typeof part === 'number' ? '[]' : part)).join('.');
  const refused = NOT_YET.filter((entry) => entry.harmless === undefined).map((entry) => entry.at.split('.'));
  return keys.filter((key) => {
    const steps = `${here}.${key}`.replaceAll('.[]', '[]').replace(/^\./, '').split('.');
    return !refused.some((at) => at.length === steps.length && at.every((s, i) => s === '*' || s === steps[i]));
  });
}

function wrongKey(root: Schema, rootData: unknown, below: Path): string {
  const record = descend(root, rootData, below.slice(0, -1));
  const def = record && definition(unwrap(record));
  const wanted = def?.type === 'record' ? expectation(def.keyType) : 'another key';
  return `expected ${wanted} as key, found \`${below.at(-1) ?? ''}\``;
}

/** Only the member that the author evidently meant is spoken of. */
function explainUnion(schema: Schema | undefined, value: unknown, errors: Issue[][], path: Path): Fault[] {
  const meant = schema && meantOption(schema, value);
  if (meant?.option) {
    const { option, index } = meant;
    return (errors[index] ?? []).flatMap((issue) => explain(option, value, issue, path));
  }
  if (meant?.kinds) return [wrongKind(available(meant.kinds, path), meant.present ?? [], value, path)];
  const message = `expected ${schema ? expectation(schema) : 'something else'}, found ${describeValue(value)}`;
  return value === undefined
    ? [
        {
          path: path.slice(0, -1),
          message: `\`${path.at(-1) ?? ''}\` is missing: ${message.replace(', found nothing', '')}`,
        },
      ]
    : [{ path, message }];
}

/** A map that could be one of several, told apart by one key: none of these keys is there, or too many. */
function wrongKind(kinds: string[], present: string[], value: unknown, path: Path): Fault {
  const words = kinds.map((kind) => `\`${kind}\``);
  const second = present[1];
  if (second !== undefined) {
    const found = present.map((key) => `\`${key}\``).join(' and ');
    return { path: [...path, second], on: 'key', message: `expected only one of ${words.join(', ')}, found ${found}` };
  }
  const keys = Object.keys(value as object);
  for (const key of keys) {
    const near = nearestName(key, kinds);
    if (near === undefined) continue;
    return { path: [...path, key], on: 'key', message: `unknown key \`${key}\`; the nearest known key is \`${near}\`` };
  }
  return { path, message: `expected one of the keys ${words.join(', ')}, found none of them` };
}

/** A value as found in a file, in words. */
export function describeValue(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  if (typeof value === 'string') return value === '' ? 'empty text' : `\`${shortened(value)}\``;
  if (typeof value === 'number') return `the number ${value}`;
  if (typeof value === 'boolean') return `\`${value}\``;
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  return 'a map';
}

/** Without the password of an address that was mistyped: what is found is printed and kept in logs. */
function shortened(written: string): string {
  const text = written.replace(/(\/[^:/\s]*):\S*@/, '$1:…@');
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

function valueAt(data: unknown, path: Path): unknown {
  return path.reduce<unknown>((here, part) => {
    return typeof here === 'object' && here !== null ? (here as Record<string | number, unknown>)[part] : undefined;
  }, data);
}
