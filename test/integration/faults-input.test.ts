/** Files that cannot be read, through the built command: exit code 2, the place of the fault, and nothing begun. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run, type Ran } from '../../infra/dev/run.js';
import { agentFile, releaseFiles, strategyFile } from './fault-files.js';

/** Built by the set-up of `npm test`. */
const MAIN = resolve(import.meta.dirname, '../../dist/cli/main.js');

let project: string;

function foothold(argv: string[]): Promise<Ran> {
  // Nobody listens there: what asks Temporal before it has read its files says so, and fails the test.
  const env = { TEMPORAL_ADDRESS: '127.0.0.1:1', TEMPORAL_CONFIG_FILE: join(project, 'none.toml'), NO_COLOR: '' };
  return run(process.execPath, [MAIN, ...argv], { cwd: project, env });
}
function write(path: string, content: string | Uint8Array): string {
  writeFileSync(join(project, path), content);
  return path;
}

const FLEET = `apiVersion: foothold/v1
kind: Fleet
defaults: { streams: [relay], vars: { dir: /srv } }
sites: [{ id: s1, risk: low }, { id: s2, risk: high }]
`;
const BINARY = Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, 0, 1);

beforeAll(async () => {
  project = mkdtempSync(join(tmpdir(), 'fh-'));
  writeFileSync(join(project, 'none.toml'), '[profile.default]\n');
  expect((await foothold(['init'])).code).toBe(0);
  for (const folder of ['relay/files', 'relay/controller']) mkdirSync(join(project, folder), { recursive: true });
  for (const [path, text] of Object.entries(releaseFiles({ version: '1.0.0' }))) write(`relay/${path}`, text);
  expect((await foothold(['publish', 'relay'])).code).toBe(0);
});
afterAll(() => {
  rmSync(project, { recursive: true, force: true });
});

const start = ['start', 'relay@1.0.0', 'steps'];

interface Case {
  file: string;
  content: string | Uint8Array;
  argv: string[];
  says: RegExp;
}
const CASES: [string, Case][] = [
  ['a fleet that is empty', { file: 'fleet.yaml', content: '', argv: start, says: /fleet\.yaml:1:1: / }],
  ['a fleet that is binary', { file: 'fleet.yaml', content: BINARY, argv: start, says: /fleet\.yaml: .*binary/ }],
  [
    'a site that is there twice',
    { file: 'fleet.yaml', content: FLEET.replace('s2', 's1'), argv: start, says: /fleet\.yaml:4:\d+: .*s1/ },
  ],
  [
    'a strategy that is no YAML',
    { file: 'strategies/steps.yaml', content: 'stages: [\nname: x\n', argv: start, says: /steps\.yaml:2:\d+: / },
  ],
  [
    'a strategy with a word that is not known',
    {
      file: 'strategies/steps.yaml',
      content: `${strategyFile('steps')}onFailur: stay\n`,
      argv: start,
      says: /steps\.yaml:8:1: .*onFailur.*onFailure/,
    },
  ],
  [
    'a strategy that leaves a site in no stage',
    {
      file: 'strategies/steps.yaml',
      content: strategyFile('steps', 'stages: [{ name: canary, select: { risk: low } }]'),
      argv: start,
      says: /SITE_IN_NO_STAGE: [^]*s2/,
    },
  ],
  [
    'a release whose form is broken',
    {
      file: 'relay/release.yaml',
      content: 'stream: "relay\n',
      argv: ['publish', 'relay'],
      says: /release\.yaml:2:1: /,
    },
  ],
  [
    'an agent’s own file',
    {
      file: 'agent.yaml',
      content: `${agentFile({ site: 's1', directory: '.', control: 'control.pub', depot: 'http://h/' })}metrix: a\n`,
      argv: ['agent', 'run', '--config', 'agent.yaml'],
      says: /agent\.yaml:7:1: .*metrix.*metrics/,
    },
  ],
  [
    'the project’s own file',
    { file: 'foothold.yaml', content: 'kind: [', argv: ['worker', 'run'], says: /foothold\.yaml:1:\d+: / },
  ],
];

describe('[A26] a file that cannot be read ends the command with 2 and its place', () => {
  it.each(CASES)('%s', async (_, { file, content, argv, says }) => {
    const good = { 'fleet.yaml': FLEET, 'strategies/steps.yaml': strategyFile('steps') };
    for (const [path, text] of Object.entries(good)) write(path, text);
    const kept = existsSync(join(project, file)) ? readFileSync(join(project, file)) : undefined;
    const depot = readdirSync(join(project, 'depot/releases/relay'));
    write(file, content);
    const said = await foothold(argv);
    if (kept) write(file, kept);
    expect([said.code, said.stdout]).toEqual([2, '']);
    expect(said.stderr).toMatch(/^error [A-Z_]+: /m);
    expect(said.stderr).toMatch(says);
    expect(said.stderr).not.toMatch(/ {4}at |TEMPORAL_UNREACHABLE/);
    expect(readdirSync(join(project, 'depot/releases/relay'))).toEqual(depot);
  });

  it('and with everything in order the same start goes as far as Temporal, which is away: 3', async () => {
    const said = await foothold(start);
    expect([said.code, said.stderr]).toEqual([3, expect.stringContaining('error TEMPORAL_UNREACHABLE')]);
  });
});

it('a control key that others can read is refused by the control worker, with the command that mends it', async () => {
  chmodSync(join(project, 'control.key'), 0o644);
  const said = await foothold(['worker', 'run']);
  expect([said.code, said.stderr]).toEqual([2, expect.stringMatching(/^error CONTROL_KEY: .*chmod 600/m)]);
});
