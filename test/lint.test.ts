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

/** The rules broken on each of `lines`; all lines are linted as one file, because each file costs a run of the type checker. */
async function rulesByLine(filePath: string, lines: string[]): Promise<string[][]> {
  const [result] = await eslint.lintText([...PREAMBLE, ...lines].join('\n'), { filePath: `${root}${filePath}` });
  const messages = result?.messages ?? [];
  // A file that cannot be parsed breaks no rule: without this the accepted lines would all seem accepted.
  if (messages.some(({ fatal }) => fatal)) throw new Error(messages.map(({ message }) => message).join('\n'));
  return lines.map((_, index) =>
    messages.filter(({ line }) => line === index + 1 + PREAMBLE.length).map(({ ruleId }) => ruleId ?? ''),
  );
}

const PREAMBLE = ["import { DateTime } from 'luxon';", 'export type Zone = DateTime;'];

const FLOATING = '@typescript-eslint/no-floating-promises';
const MISUSED = '@typescript-eslint/no-misused-promises';
const SYNTAX = 'no-restricted-syntax';
const GLOBALS = 'no-restricted-globals';
const IMPORTS = 'no-restricted-imports';

/** One line each, by the file in which it is planted. */
const PLANTED: Record<string, [string, string][]> = {
  'site/planted.ts': [
    ['async function f(): Promise<void> {}; f();', FLOATING],
    ['export async function g(p: Promise<boolean>): Promise<void> { if (p) await p; }', MISUSED],
    ['[1].forEach(async () => { await Promise.resolve(); });', MISUSED],
    ['export const x: any = 1;', '@typescript-eslint/no-explicit-any'],
  ],
  'policies/planted.ts': [
    ['export const a = Date.now();', SYNTAX],
    ['export const b = new Date();', SYNTAX],
    ['export const c = Date();', SYNTAX],
    ['export const d = Math.random();', SYNTAX],
    ['export const e = DateTime.now();', SYNTAX],
    ['export const f = DateTime.local(2026);', SYNTAX],
    ['export const g = DateTime.utc();', SYNTAX],
    ['export const h = (at: Date): number => at.getHours();', SYNTAX],
    ["export const i = Buffer.from('a');", GLOBALS],
    ['export const j = process.env;', GLOBALS],
    ['setTimeout(() => undefined, 1);', GLOBALS],
  ],
  'policies/signing/planted.ts': [['export const a = Date.now();', SYNTAX]],
  'workflows/planted.ts': [
    ['export const a = new Intl.DateTimeFormat();', SYNTAX],
    ["export const b = Intl.DateTimeFormat('en');", SYNTAX],
    ['export const c = new Date(0).toLocaleString();', SYNTAX],
    ['export const d = DateTime.local();', SYNTAX],
    ["import { readFileSync } from 'node:fs'; export const e = readFileSync;", IMPORTS],
    ["import { writeFileSync } from 'fs'; export const f = writeFileSync;", IMPORTS],
    ['export const g = process.pid;', GLOBALS],
  ],
};

/** What looks alike and is right: rules that refuse everything would pass the test above. */
const ALLOWED: Record<string, string[]> = {
  'site/planted.ts': ['export async function f(): Promise<number> { await Promise.resolve(); return Date.now(); }'],
  'policies/planted.ts': [
    'export const a = (now: number): string => new Date(now).toISOString();',
    "export const b = new Intl.DateTimeFormat('en', { timeZone: 'UTC' });",
  ],
  'policies/signing/planted.ts': ["export const a = Buffer.from('a');"],
  'workflows/planted.ts': ['export const a = (): number => Date.now();'],
};

// The first of these loads the type checker: seconds on a busy machine.
describe('lint', { timeout: 120_000 }, () => {
  it.each(Object.entries(PLANTED))('refuses every fault planted in %s', async (path, planted) => {
    const broken = await rulesByLine(
      path,
      planted.map(([text]) => text),
    );
    const missed = planted.filter(([, rule], index) => !broken[index]?.includes(rule));
    expect(missed).toEqual([]);
  });

  it.each(Object.entries(ALLOWED))('accepts what is right in %s', async (path, lines) => {
    expect(await rulesByLine(path, lines)).toEqual(lines.map(() => []));
  });
});
