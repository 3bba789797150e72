/** The walls between the rooms hold; and each wall is shown to stop a planted import that it is there to stop. */
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { judgeWalls, type Breach } from './walls/judge.js';
import { readSources } from './walls/sources.js';

const root = fileURLToPath(new URL('..', import.meta.url));

const judge = (path: string, text: string): string[] => judgeWalls([{ path, text }]).map(({ why }) => why);
const shown = ({ path, line, why }: Breach): string => `${path}:${line} ${why}`;

describe('the rooms', () => {
  const sources = readSources(root);

  it('import only what the design allows', () => {
    expect(judgeWalls(sources).map(shown)).toEqual([]);
  });

  it('are all there to be judged', () => {
    const judged = new Set(sources.map(({ path }) => path.split('/')[0]));
    for (const room of ['policies', 'site', 'records', 'activities', 'workflows', 'worker', 'cli', 'infra'])
      expect(judged).toContain(room);
  });
});

/** One planted import for each wall: [file, text, words of the refusal]. */
const PLANTED: [string, string, string][] = [
  ['policies/gate/x.ts', "import { x } from '../../records/registry/registry.js';", 'policies must not import records'],
  ['policies/gate/x.ts', "import { x } from '../signing/jcs.js';", 'signing needs Node'],
  ['policies/gate/x.ts', "import type { X } from '../signing/jcs.js';", 'signing needs Node'],
  ['policies/gate/x.ts', "import { readFileSync } from 'node:fs';", 'Node is for policies/signing only'],
  ['policies/gate/x.ts', "import { readFileSync } from 'fs';", 'Node is for policies/signing only'],
  ['policies/gate/x.ts', "import axios from 'axios';", 'only pure packages'],
  ['policies/gate/x.ts', "import canonicalize from 'canonicalize';", 'only pure packages'],
  ['policies/signing/x.ts', "import pino from 'pino';", 'only pure packages'],
  ['site/agent/x.ts', "import { x } from '../../records/registry/registry.js';", 'site must not import records'],
  ['site/agent/x.ts', "import { x } from '../../infra/programs/find.js';", 'site must not import infra'],
  ['site/agent/x.ts', "import { Context } from '@temporalio/activity';", 'autonomy is structural'],
  ['site/agent/x.ts', "import type { Context } from '@temporalio/activity';", 'autonomy is structural'],
  ['site/agent/x.ts', "const x = await import('@temporalio/client');", 'autonomy is structural'],
  ['records/registry/x.ts', "import { x } from '../../site/agent/agent.js';", 'records must not import site'],
  ['records/registry/x.ts', "import { x } from '../../activities/append.js';", 'records must not import activities'],
  ['activities/x.ts', "import { x } from '../workflows/rollout.js';", 'activities must not import workflows'],
  ['activities/x.ts', "import { x } from '../site/agent/agent.js';", 'activities must not import site'],
  ['workflows/x.ts', "import { x } from '../activities/append.js';", 'except by `import type`'],
  ['workflows/x.ts', "import { type X } from '../activities/append.js';", 'except by `import type`'],
  ['workflows/x.ts', "export { x } from '../activities/append.js';", 'except by `import type`'],
  ['workflows/x.ts', "import { x } from '../policies/signing/jcs.js';", 'signing needs Node'],
  ['workflows/x.ts', "import type { X } from '../policies/signing/jcs.js';", 'signing needs Node'],
  ['workflows/x.ts', "import { x } from '../records/registry/registry.js';", 'workflows must not import records'],
  ['workflows/x.ts', "import type { X } from '../records/registry/registry.js';", 'workflows must not import records'],
  ['workflows/x.ts', "let x: import('../records/registry/registry.js').X;", 'workflows must not import records'],
  ['workflows/x.ts', "import axios from 'axios';", 'only @temporalio/workflow'],
  ['workflows/x.ts', "import pino from 'pino';", 'only @temporalio/workflow'],
  ['workflows/x.ts', "import { Client } from '@temporalio/client';", 'only @temporalio/workflow'],
  ['workflows/x.ts', "import { createHash } from 'node:crypto';", 'not in the workflow sandbox'],
  ['worker/x.ts', "import { x } from '../cli/main.js';", 'worker must not import cli'],
  ['cli/x.ts', "import { x } from '../worker/control.js';", 'except by a dynamic import'],
  ['cli/x.ts', "import type { X } from '../worker/control.js';", 'except by a dynamic import'],
  ['cli/x.ts', "import { x } from '../site/agent/agent.js';", 'only site/local'],
  ['cli/x.ts', "import { x } from '../activities/append.js';", 'cli must not import activities'],
  ['cli/x.ts', "import { x } from '../workflows/rollout.js';", 'cli must not import workflows'],
  ['infra/dev/x.ts', "import { x } from '../../policies/gate/judge.js';", 'only policies/model'],
  ['infra/dev/x.ts', "import { x } from '../../records/registry/registry.js';", 'infra must not import records'],
  ['infra/setup/x.mjs', "import { x } from '../dev/temporal.js';", 'before anything is built'],
  ['infra/setup/x.mjs', "import { z } from 'zod';", 'before packages are installed'],
  ['records/x.ts', "import { x } from '../test/walls/judge.js';", 'it is no room'],
  ['site/x.ts', "import { x } from '../bench/main.js';", 'it is no room'],
  ['site/x.ts', 'const name = "a"; const x = await import(name);', 'cannot be judged'],
  ['records/x.ts', "const x = require('../site/agent/agent.js');", 'records must not import site'],
  ['records/x.ts', "import x = require('../site/agent/agent.js');", 'records must not import site'],
  ['records/x.ts', "import '/etc/x.js';", 'by relative paths'],
];

describe('a planted import is refused', () => {
  it.each(PLANTED)('%s: %s', (path, text, refusal) => {
    expect(judge(path, text).join('\n')).toContain(refusal);
  });

  it.each(['lib', 'utils', 'common', 'shared', 'helpers'])('a folder or a file called %s', (name) => {
    expect(judge(`records/${name}/x.ts`, '').join()).toContain(`called \`${name}\``);
    expect(judge(`records/${name}.ts`, '').join()).toContain(`called \`${name}\``);
  });

  it('when workflows reach signing or Node through several policies', () => {
    const files = [
      { path: 'workflows/x.ts', text: "import { a } from '../policies/a/a.js';" },
      { path: 'policies/a/a.ts', text: "export * from './b.js';" },
      { path: 'policies/a/b.ts', text: "import { c } from '../signing/c.js';\nconst d = await import('node:fs');" },
      { path: 'policies/signing/c.ts', text: '' },
    ];
    const closure = judgeWalls(files).filter(({ why }) => why.startsWith('workflows load this file'));
    expect(closure).toEqual([
      { path: 'policies/a/b.ts', line: 1, why: 'workflows load this file, and with it policies/signing/c.ts' },
      { path: 'policies/a/b.ts', line: 2, why: 'workflows load this file, and with it node:fs' },
    ]);
  });
});

const STATE = 'workflows load this file once for all of them: it must keep no state';

describe('what all workflows share', () => {
  const reaching = { path: 'workflows/x.ts', text: "import { a } from '../policies/a/a.js';" };

  it.each([
    ['let count = 0;', 1],
    ['export const a = 1;\nexport let b = 2;', 2],
    ['const known = new Map<string, string>();', 1],
    ['const known = new WeakMap();', 1],
  ])('must not keep state: %s', (text, line) => {
    const breaches = judgeWalls([reaching, { path: 'policies/a/a.ts', text }]);
    expect(breaches).toEqual([{ path: 'policies/a/a.ts', line, why: STATE }]);
    expect(judgeWalls([{ path: 'policies/a/a.ts', text }])).toEqual([]);
  });

  it.each(["const words = new Set(['a']);", 'export function f() {\n  let n = 0;\n  return (n += 1);\n}'])(
    'may: %s',
    (text) => {
      expect(judgeWalls([reaching, { path: 'policies/a/a.ts', text }])).toEqual([]);
    },
  );

  it('holds no package that a policy alone would need', () => {
    const breaches = judgeWalls([reaching, { path: 'policies/a/a.ts', text: "import { z } from 'zod';" }]);
    expect(breaches).toEqual([{ path: 'policies/a/a.ts', line: 1, why: 'workflows load this file, and with it zod' }]);
  });
});

/** What the design allows stays allowed: a judge that refuses everything would pass every test above. */
const ALLOWED: [string, string][] = [
  ['site/agent/x.ts', "import { x } from '../../policies/site/states.js';"],
  ['site/agent/x.ts', "import { x } from 'node:fs';"],
  ['activities/x.ts', "import { x } from '../records/registry/registry.js';"],
  ['workflows/x.ts', "import type { X } from '../activities/append.js';"],
  ['workflows/x.ts', "export type { X } from '../activities/append.js';"],
  ['workflows/x.ts', "import { x } from '../policies/gate/judge.js';\nimport { y } from '@temporalio/workflow';"],
  ['worker/x.ts', "import { x } from '../infra/programs/find.js';\nimport { Worker } from '@temporalio/worker';"],
  ['cli/x.ts', "const x = await import('../worker/control.js');\nimport { y } from '../site/local.js';"],
  ['cli/x.ts', "import { y } from '../site/local/client.js';"],
  ['infra/dev/x.ts', "import { x } from '../../policies/model/failure.js';"],
  ['infra/setup/x.mjs', "import { x } from './cache.mjs';\nimport 'node:fs';"],
  ['policies/signing/x.ts', "import { createHash } from 'node:crypto';\nimport canonicalize from 'canonicalize';"],
  ['policies/gate/x.ts', "import { z } from 'zod';\nimport { y } from '../model/names.js';"],
  ['test/x.ts', "import { x } from '../cli/main.js';\nimport { y } from '../worker/control.js';"],
  ['records/commons/x.ts', ''],
];

describe('an allowed import passes', () => {
  it.each(ALLOWED)('%s: %s', (path, text) => {
    expect(judge(path, text)).toEqual([]);
  });
});
