import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { emptyDirectory, foothold, json } from './operator.js';

const COMMANDS = (
  'init doctor validate publish plan start status watch explain pause resume abort revert promote allow fleet worker depot agent ' +
  'approve rollback owed retry freeze unfreeze history evidence site gate keys'
).split(' ');

test('[A49] every command of the contract is known by name, and help says what it is for', async () => {
  const said = await foothold(await emptyDirectory(), ['--help']);
  expect(said.exit).toBe(0);
  expect(said.err).toBe('');
  for (const command of COMMANDS) expect(said.out).toMatch(new RegExp(`^  ${command}\\b`, 'm'));
});

describe('what is not built yet is refused by name', () => {
  test.each([
    [['approve', 'edge-proxy', 'critical', '--reason', 'x'], 'foothold approve'],
    [['site', 'revert', 'osl-01', 'edge-proxy'], 'foothold site revert'],
    [['gate', 'try', 'careful'], 'foothold gate try'],
  ])('%j', async (argv, name) => {
    const said = await foothold(await emptyDirectory(), argv);
    expect(said.exit).toBe(2);
    expect(said.out).toBe('');
    expect(said.err).toBe(`error NOT_AVAILABLE: ${name} is not available yet\n  see docs/playbooks/NOT_AVAILABLE.md\n`);
  });
});

describe('a mistake on the command line ends with 2 and one block', () => {
  test.each([
    [['pubish', 'x'], /unknown command 'pubish'[^]*publish/],
    [['plan', 'a@1'], /missing required argument 'strategy'/],
    [['status', '--colour'], /unknown option '--colour'/],
    [['fleet'], /expected a command/],
    [['agent', 'adopt'], /missing required argument 'stream'/],
  ])('%j', async (argv, message) => {
    const said = await foothold(await emptyDirectory(), argv);
    expect(said.exit).toBe(2);
    expect(said.out).toBe('');
    expect(said.err).toMatch(/^error BAD_ARGUMENT: /);
    expect(said.err).toMatch(message);
    expect(said.err.match(/^error/gm)).toHaveLength(1);
  });

  test('with --json, as one document on standard output', async () => {
    const said = await foothold(await emptyDirectory(), ['plan', '--json', 'a@1']);
    expect(said.exit).toBe(2);
    const { error } = json(said) as { error: { code: string; message: string; details: string[] } };
    expect(error.code).toBe('BAD_ARGUMENT');
    expect(error.message).toContain("missing required argument 'strategy'");
    expect(error.details).toEqual([]);
  });
});

describe('the project', () => {
  test('none here or above: says how to make one', async () => {
    const said = await foothold(await emptyDirectory(), ['status']);
    expect(said.exit).toBe(2);
    expect(said.err).toContain('error PROJECT_NOT_FOUND');
    expect(said.err).toContain('foothold init');
  });

  test('is found upwards, and named by --project', async () => {
    const directory = await emptyDirectory();
    await foothold(directory, ['init']);
    const below = join(directory, 'strategies');
    expect((await foothold(below, ['fleet', 'list', '--json'])).exit).toBe(0);
    const elsewhere = await emptyDirectory();
    const file = join(directory, 'foothold.yaml');
    expect((await foothold(elsewhere, ['fleet', 'list', '--project', file])).exit).toBe(0);
    expect((await foothold(elsewhere, ['--project', file, 'fleet', 'list'])).exit).toBe(0);
    const missing = await foothold(directory, ['fleet', 'list', '--project', 'other.yaml']);
    expect([missing.exit, missing.err]).toEqual([2, expect.stringContaining('PROJECT_NOT_FOUND')]);
  });

  test('a broken one is a mistake with its place', async () => {
    const directory = await emptyDirectory();
    await writeFile(join(directory, 'foothold.yaml'), 'apiVersion: foothold/v1\nkind: Project\ndepo: x\n');
    const said = await foothold(directory, ['fleet', 'list']);
    expect(said.exit).toBe(2);
    expect(said.err).toMatch(/foothold\.yaml:3:1/);
  });
});

describe('verbs', () => {
  test.each(['pause', 'resume', 'promote', 'abort', 'revert'])('%s without a reason is a mistake', async (verb) => {
    const directory = await emptyDirectory();
    await foothold(directory, ['init']);
    const said = await foothold(directory, [verb, 'edge-proxy']);
    expect(said.exit).toBe(2);
    expect(said.err).toContain('expected --reason "why"');
    const blank = await foothold(directory, [verb, 'edge-proxy', '--reason', '  ']);
    expect(blank.exit).toBe(2);
  });

  test('with Temporal down and no registry: the world’s fault, named by its address', async () => {
    const directory = await emptyDirectory();
    await foothold(directory, ['init']);
    const said = await foothold(directory, ['abort', 'edge-proxy', '--reason', 'x']);
    expect(said.exit).toBe(3);
    expect(said.err).toContain('TEMPORAL_UNREACHABLE');
    expect(said.err).toContain('127.0.0.1:1');
  });
});

test('a profile that does not exist is a mistake, as for the temporal command', async () => {
  const directory = await emptyDirectory();
  await foothold(directory, ['init']);
  const said = await foothold(directory, ['abort', 'x', '--reason', 'y', '--profile', 'nowhere']);
  expect(said.exit).toBe(2);
  expect(said.err).toContain("Profile 'nowhere' not found");
});
