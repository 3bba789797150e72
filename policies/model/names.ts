import { z } from 'zod';

/** Names of sites, streams, strategies, stages, components, checks and gates: what is safe in a path, an id and a URL. */
export const Name = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/, 'expected lower-case letters, digits, dots and dashes (1 to 63)');

/** `sha256:` and 64 hex digits. */
export const Digest = z.string().regex(/^sha256:[0-9a-f]{64}$/, 'expected sha256: and 64 hex digits');
export type Digest = string;

export const API_VERSION = 'foothold/v1';
export const ApiVersion = z.literal(API_VERSION);

/** A per-site value: what a release's `vars` may ask for. */
export const VarValue = z.union([z.string(), z.number(), z.boolean()]);
export type VarValue = z.infer<typeof VarValue>;
export const Vars = z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/), VarValue);
export type Vars = Record<string, VarValue>;
