/** A line loads only the commands that it names: each of them has to be found by its name, whatever else the line says. */
import { expect, test } from 'vitest';
import { emptyDirectory, foothold } from './operator.js';

test('[A49] a command is found by its name beside the name of another one', async () => {
  const cwd = await emptyDirectory();
  const help = await foothold(cwd, ['--help']);
  const names = [...help.out.matchAll(/^ {2}([a-z]+)\b.*$/gm)].map(([, name = '']) => name);
  const commands = names.filter((name) => name !== 'help');
  expect(commands.length).toBeGreaterThan(20);
  for (const name of commands) {
    // The other name is loaded; a command missing from the table of contents would not be.
    const said = await foothold(cwd, [name, '--help', name === 'init' ? 'status' : 'init']);
    expect([name, said.exit, said.out.split('\n')[0]]).toEqual([name, 0, expect.stringContaining(`foothold ${name}`)]);
  }
});

test('a word that is no command is refused beside all that are', async () => {
  const said = await foothold(await emptyDirectory(), ['explian', 'edge-proxy']);
  expect(said.exit).toBe(2);
  expect(said.err).toMatch(/Did you mean explain/);
});
