/**
 * Typed lint. Beside the usual rules it keeps clocks, chance and the host's time zone out of `policies/`, and what the workflow
 * sandbox has not, or has differently, out of `policies/` and `workflows/`. Imports between rooms are judged by test/walls.test.ts.
 */
import { builtinModules } from 'node:module';
import tseslint from 'typescript-eslint';

const hostZone = [
  {
    selector: "CallExpression[callee.object.name='DateTime'][callee.property.name=/^(now|local)$/]",
    message: 'This reads the host: pass `now` as an argument, and name the zone (DateTime.fromMillis(now, { zone })).',
  },
  {
    selector: 'CallExpression[callee.property.name=/^toLocale(Date|Time)?String$/]',
    message: 'This uses the locale and zone of the host: name both, with Intl or luxon.',
  },
  {
    selector:
      ":matches(CallExpression, NewExpression)[callee.object.name='Intl'][callee.property.name='DateTimeFormat'][arguments.length<2]",
    message: 'Without options this uses the zone of the host: name timeZone.',
  },
  {
    selector:
      'CallExpression[callee.property.name=/^(get(Hours|Minutes|Date|Day|Month|FullYear)|getTimezoneOffset|setHours|setMinutes|setDate|setMonth|setFullYear)$/]',
    message: 'This uses the zone of the host: use the UTC form, or luxon with a named zone.',
  },
];

const clockAndChance = [
  {
    selector: "CallExpression[callee.object.name='Date'][callee.property.name='now']",
    message: 'A policy reads no clock: `now` is an argument.',
  },
  {
    selector: "NewExpression[callee.name='Date'][arguments.length=0]",
    message: 'A policy reads no clock: `now` is an argument.',
  },
  { selector: "CallExpression[callee.name='Date']", message: 'A policy reads no clock: `now` is an argument.' },
  {
    selector: "CallExpression[callee.object.name='Math'][callee.property.name='random']",
    message: 'A policy leaves nothing to chance: derive it from its arguments.',
  },
  {
    selector: "CallExpression[callee.object.name='DateTime'][callee.property.name='utc'][arguments.length=0]",
    message: 'A policy reads no clock: `now` is an argument.',
  },
];

const absentInSandbox = ['process', 'Buffer', 'require', 'fetch', 'performance', 'crypto'].map((name) => ({
  name,
  message: 'Not in the workflow sandbox, where this file runs too.',
}));
const timers = ['setTimeout', 'setInterval', 'setImmediate'].map((name) => ({
  name,
  message: 'A policy waits for nothing.',
}));

export default tseslint.config(
  {
    ignores: [
      'dist/',
      'node_modules/',
      'eslint.config.js',
      '**/*.js',
      '**/*.mjs',
      '!infra/setup/*.mjs',
      '!infra/bundle/*.mjs',
    ],
  },
  ...tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/require-await': 'off',
      'max-lines-per-function': ['warn', { max: 70, skipBlankLines: true, skipComments: true }],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
    },
  },
  {
    // CommonJS requires, and the compiler does not read what its comments say of types.
    files: ['**/*.cjs'],
    rules: { '@typescript-eslint/no-require-imports': 'off', '@typescript-eslint/no-unsafe-assignment': 'off' },
  },
  {
    files: ['policies/**/*.ts'],
    ignores: ['policies/signing/**'],
    rules: { 'no-restricted-globals': ['error', ...absentInSandbox, ...timers] },
  },
  { files: ['policies/**/*.ts'], rules: { 'no-restricted-syntax': ['error', ...clockAndChance, ...hostZone] } },
  {
    files: ['workflows/**/*.ts'],
    rules: {
      'no-restricted-globals': ['error', ...absentInSandbox],
      'no-restricted-syntax': ['error', ...hostZone],
      'no-restricted-imports': [
        'error',
        {
          paths: builtinModules.map((name) => ({ name, message: 'Node is not in the workflow sandbox.' })),
          patterns: [{ group: ['node:*'], message: 'Node is not in the workflow sandbox.' }],
        },
      ],
    },
  },
  {
    // The cast of a JSDoc comment is no node of the syntax tree, so these two would refuse a cast that the compiler has checked.
    files: ['infra/setup/*.mjs', 'infra/setup/*.cjs'],
    rules: { '@typescript-eslint/no-unsafe-assignment': 'off', '@typescript-eslint/no-unsafe-return': 'off' },
  },
  {
    files: ['infra/setup/*.cjs'],
    rules: { '@typescript-eslint/no-require-imports': 'off' },
  },
);
