/** Names, digests, variables and addresses as every file kind writes them. */
import { z } from 'zod';

/** Names of sites, streams, strategies, stages, components, checks and gates: what is safe in a path, an id and a URL. */
export const Name = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/, 'expected lower-case letters, digits, dots and dashes (1 to 63)')
  .describe('a name of 1 to 63 lower-case letters, digits, dots, dashes and underscores');

/** Names that people gave to regions, clusters and asset types: no comma, slash or star, which selectors and ids use. */
export const GroupName = z
  .string()
  .regex(/^[\p{L}\p{N}]([\p{L}\p{N} ._-]{0,61}[\p{L}\p{N}])?$/u)
  .describe('a name of 1 to 63 letters, digits, spaces, dots, dashes and underscores');

export const Text = z.string().min(1).describe('text that is not empty');

/** `sha256:` and 64 hex digits. */
export const Digest = z.string().regex(/^sha256:[0-9a-f]{64}$/, 'expected sha256: and 64 hex digits');
export type Digest = string;

export const API_VERSION = 'foothold/v1';
export const ApiVersion = z.literal(API_VERSION);

/** A per-site value: what a release's `vars` may ask for. Whole numbers that a double cannot hold would change on the way. */
export const VarValue = z
  .union([
    z.string(),
    z.number().refine((n) => !Number.isInteger(n) || Number.isSafeInteger(n), 'expected at most 15 digits'),
    z.boolean(),
  ])
  .describe('text, a number of at most 15 digits, or true or false');
export type VarValue = z.infer<typeof VarValue>;
/** `site` is taken: `{{site.id}}`. */
export const VarName = z
  .string()
  .regex(/^(?!site$)[A-Za-z_][A-Za-z0-9_]*$/)
  .describe('a variable name of letters, digits and underscores, other than `site`');
export const Vars = z.record(VarName, VarValue);
export type Vars = Record<string, VarValue>;

export const HttpUrl = z
  .string()
  .regex(/^https?:\/\/[^\s/?#]+\S*$/)
  .describe('an address that begins with http:// or https://');

/** A program and its arguments; run without a shell. */
export const Argv = z
  .array(z.string())
  .min(1)
  .refine((argv) => argv[0] !== '', 'expected a program as the first entry')
  .describe('a program and its arguments as a list, such as [nginx, -s, reload]');
