/** The lint rules that guard a promise of the design refuse what they are there to refuse: each is shown a planted fault. */
import { ESLint } from 'eslint';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

const eslint = new ESLint({
  cwd: root,
  overrideConfig: {
    // The planted files do not exist, so no tsconfig names them.
    languageOptions: {
      parserOptions: { projectService: { allowDefaultProject: ['*/planted.ts', 'policies/signing/planted.ts'] } },
    },
  },
});

async function rulesAgainst(filePath: string, text: string): Promise<string[]> {
  const [result] = await eslint.lintText(text, { filePath: `${root}${filePath}` });
  return (result?.messages ?? []).map(({ ruleId, message }) => ruleId ?? message);
}

const FLOATING = '@typescript-eslint/no-floating-promises';
const MISUSED = '@typescript-eslint/no-misused-promises';
const SYNTAX = 'no-restricted-syntax';
const GLOBALS = 'no-restricted-globals';
const IMPORTS = 'no-restricted-imports';

const PLANTED: [string, string, string][] = [
  ['site/planted.ts', 'async function f(): Promise<void> {}\nf();', FLOATING],
  ['site/planted.ts', 'export async function f(p: Promise<boolean>): Promise<void> { if (p) await p; }', MISUSED],
  ['site/planted.ts', '[1].forEach(async () => { await Promise.resolve(); });', MISUSED],
  ['site/planted.ts', 'export const x: any = 1;', '@typescript-eslint/no-explicit-any'],
  ['policies/planted.ts', 'export const x = Date.now();', SYNTAX],
  ['policies/planted.ts', 'export const x = new Date();', SYNTAX],
  ['policies/planted.ts', 'export const x = Date();', SYNTAX],
  ['policies/planted.ts', 'export const x = Math.random();', SYNTAX],
  ['policies/planted.ts', "import { DateTime } from 'luxon';\nexport const x = DateTime.now();", SYNTAX],
  ['policies/planted.ts', "import { DateTime } from 'luxon';\nexport const x = DateTime.local(2026);", SYNTAX],
  ['policies/planted.ts', "import { DateTime } from 'luxon';\nexport const x = DateTime.utc();", SYNTAX],
  ['policies/planted.ts', 'export const x = (at: Date): number => at.getHours();', SYNTAX],
  ['policies/planted.ts', "export const x = Buffer.from('a');", GLOBALS],
  ['policies/planted.ts', 'export const x = process.env;', GLOBALS],
  ['policies/planted.ts', 'setTimeout(() => undefined, 1);', GLOBALS],
  ['policies/signing/planted.ts', 'export const x = Date.now();', SYNTAX],
  ['workflows/planted.ts', 'export const x = new Intl.DateTimeFormat();', SYNTAX],
  ['workflows/planted.ts', "export const x = Intl.DateTimeFormat('en');", SYNTAX],
  ['workflows/planted.ts', 'export const x = new Date(0).toLocaleString();', SYNTAX],
  ['workflows/planted.ts', "import { DateTime } from 'luxon';\nexport const x = DateTime.local();", SYNTAX],
  ['workflows/planted.ts', "import { readFileSync } from 'node:fs';\nexport const x = readFileSync;", IMPORTS],
  ['workflows/planted.ts', "import { readFileSync } from 'fs';\nexport const x = readFileSync;", IMPORTS],
  ['workflows/planted.ts', 'export const x = process.pid;', GLOBALS],
];

/** What looks alike and is right: rules that refuse everything would pass the tests above. */
const ALLOWED: [string, string][] = [
  ['site/planted.ts', 'export async function f(): Promise<number> { await Promise.resolve(); return Date.now(); }'],
  ['policies/planted.ts', 'export const x = (now: number): string => new Date(now).toISOString();'],
  ['policies/planted.ts', "export const x = new Intl.DateTimeFormat('en', { timeZone: 'UTC' });"],
  ['policies/signing/planted.ts', "export const x = Buffer.from('a');"],
  ['workflows/planted.ts', 'export const x = (): number => Date.now();'],
];

// The first of these loads the type checker: seconds on a busy machine.
describe('lint', { timeout: 60_000 }, () => {
  it.each(PLANTED)('refuses in %s: %s', async (path, text, rule) => {
    expect(await rulesAgainst(path, text)).toContain(rule);
  });

  it.each(ALLOWED)('accepts in %s: %s', async (path, text) => {
    expect(await rulesAgainst(path, text)).toEqual([]);
  });
});
