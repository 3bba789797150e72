/**
 * Rendering: mustache's syntax with nothing but variables (design §6 "Meaning"). A template decides nothing: sections,
 * partials and nested names are refused, and a missing variable is an error, never an empty string.
 * What has to contain `{{` itself changes the delimiters, as in mustache: `{{=<% %>=}}`.
 */
import mustache from 'mustache';
import { MistakeError } from '../model/failure.js';
import type { Vars } from '../model/names.js';

/** What templates see: the site's variables, `{{site.id}}` and `{{site.data}}` (the agent's data directory). */
export interface RenderView {
  vars: Vars;
  site: { id: string; data: string };
}

/** Names that every site gives a value to, whatever its `vars`. */
export const SITE_VARIABLES = ['site.id', 'site.data'] as const;

interface Piece {
  kind: 'text' | 'variable';
  value: string;
  /** Index in the text. */
  start: number;
}

/** The distinct names that a text uses, in order of first use. Throws MistakeError RELEASE_INVALID with the line. */
export function templateVariables(text: string): string[] {
  const pieces = parseTemplate(text).filter((piece) => piece.kind === 'variable');
  return [...new Set(pieces.map((piece) => piece.value))];
}

/** The text with every variable filled in, nothing escaped. Throws MistakeError VARIABLE_MISSING, RELEASE_INVALID. */
export function renderText(text: string, view: RenderView): string {
  const pieces = parseTemplate(text);
  return pieces.map((piece) => (piece.kind === 'text' ? piece.value : valueOf(piece, view, text))).join('');
}

/** `value` with every string in it rendered; keys of objects are left as they are. Throws as `renderText` does. */
export function renderStrings<T>(value: T, view: RenderView): T {
  return renderDeep(value, view) as T;
}

function renderDeep(value: unknown, view: RenderView): unknown {
  if (typeof value === 'string') return renderText(value, view);
  if (Array.isArray(value)) return value.map((one) => renderDeep(one, view));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, renderDeep(one, view)]));
}

/** Every string in `value` with where it is: `apply[1]`, `reload[0]`. */
export function stringsIn(value: unknown, path = ''): { path: string; text: string }[] {
  if (typeof value === 'string') return [{ path, text: value }];
  if (Array.isArray(value)) return value.flatMap((one, i) => stringsIn(one, `${path}[${i}]`));
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, one]) => stringsIn(one, path === '' ? key : `${path}.${key}`));
}

/** Own properties only: `{{constructor}}` is no variable. */
function valueOf(piece: Piece, view: RenderView, text: string): string {
  if (piece.value === 'site.id') return view.site.id;
  if (piece.value === 'site.data') return view.site.data;
  const value = Object.hasOwn(view.vars, piece.value) ? view.vars[piece.value] : undefined;
  if (value !== undefined) return String(value);
  throw new MistakeError(
    'VARIABLE_MISSING',
    `expected a value for {{${piece.value}}} (line ${lineAt(text, piece.start)}), the site has none`,
  );
}

function parseTemplate(text: string): Piece[] {
  if (!text.includes('{{')) return [{ kind: 'text', value: text, start: 0 }];
  return parsed(text).flatMap(([kind, value, start]): Piece[] => {
    if (kind === 'text') return [{ kind, value, start }];
    if (kind === '!' || kind === '=') return [];
    const variable = kind === 'name' || kind === '&';
    if (variable && isVariableName(value)) return [{ kind: 'variable', value, start }];
    const line = lineAt(text, start);
    throw variable ? oddName(value, line) : notAVariable(kind, value, line);
  });
}

function parsed(text: string): ReturnType<typeof mustache.parse> {
  try {
    return mustache.parse(text);
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    const at = / at (\d+)$/.exec(words);
    const where = at ? `${words.slice(0, at.index)} (line ${lineAt(text, Number(at[1]))})` : words;
    throw new MistakeError('RELEASE_INVALID', `expected a template, got: ${where}`);
  } finally {
    // mustache keeps every template it ever parsed; an agent runs for years
    mustache.clearCache();
  }
}

function isVariableName(name: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) || SITE_VARIABLES.some((known) => known === name);
}

function oddName(name: string, line: number): MistakeError {
  return new MistakeError(
    'RELEASE_INVALID',
    `expected a variable of the site, {{site.id}} or {{site.data}}, got {{${name}}} (line ${line})`,
  );
}

function notAVariable(kind: string, value: string, line: number): MistakeError {
  return new MistakeError(
    'RELEASE_INVALID',
    `expected only variables such as {{listen}}, got {{${kind}${value}}} (line ${line}): templates have no sections or partials`,
  );
}

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split('\n').length;
}
