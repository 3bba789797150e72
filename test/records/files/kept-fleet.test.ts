import { rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { KeptFleet } from '../../../records/files/kept-fleet.js';
import { refusalOf, written } from './written.js';

const FLEET = `apiVersion: foothold/v1
kind: Fleet
include: [sites/*.yaml, more.csv]
sites:
  - { id: a, vars: { port: 1 } }
`;

let directory: string;
let kept: KeptFleet;
const load = () => kept.load(join(directory, 'fleet.yaml'));
const write = (name: string, text: string) => writeFile(join(directory, name), text);
const ids = async () => (await load()).sites.map(({ id }) => id);

beforeEach(async () => {
  directory = await written({ 'fleet.yaml': FLEET, 'sites/b.yaml': '- { id: b }\n', 'more.csv': 'id,risk\nc,low\n' });
  kept = new KeptFleet();
});

describe('a fleet that is kept', () => {
  it('is the same again while its files say the same, also those that were written anew', async () => {
    const first = await load();
    expect(first.sites.map(({ id }) => id)).toEqual(['a', 'b', 'c']);
    await write('fleet.yaml', FLEET);
    await write('more.csv', 'id,risk\nc,low\n');
    expect(await load()).toBe(first);
  });

  it.each([
    ['the fleet file', 'fleet.yaml', FLEET.replace('id: a', 'id: x'), ['b', 'c', 'x']],
    ['an included file', 'sites/b.yaml', '- { id: b }\n- { id: b2 }\n', ['a', 'b', 'b2', 'c']],
    ['a table', 'more.csv', 'id,risk\nd,low\n', ['a', 'b', 'd']],
    ['a file that came', 'sites/e.yaml', '- { id: e }\n', ['a', 'b', 'c', 'e']],
  ])('is another once %s says something else', async (_, name, text, expected) => {
    await load();
    await write(name, text);
    expect(await ids()).toEqual(expected);
    expect(await ids()).toEqual(expected);
  });

  it('is another where a file of the same size has the same time', async () => {
    await load();
    const path = join(directory, 'sites/b.yaml');
    const { atime, mtime } = await stat(path);
    await writeFile(path, '- { id: q }\n');
    await utimes(path, atime, mtime);
    expect(await ids()).toEqual(['a', 'c', 'q']);
  });

  it('is refused once a file is gone or broken, and there again once it is mended', async () => {
    const first = await load();
    await rm(join(directory, 'more.csv'));
    expect((await refusalOf(directory, load())).code).toBe('FLEET_INVALID');
    await write('more.csv', 'id,risk\nc,tiny\n');
    expect((await refusalOf(directory, load())).code).toBe('FLEET_INVALID');
    await write('more.csv', 'id,risk\nc,high\n');
    expect((await load()).sites.at(-1)).toEqual({ ...first.sites.at(-1), risk: 'high' });
  });

  it('of another path is another', async () => {
    const first = await load();
    const other = await written({ 'fleet.yaml': 'apiVersion: foothold/v1\nkind: Fleet\nsites: [{ id: z }]\n' });
    expect((await kept.load(join(other, 'fleet.yaml'))).sites.map(({ id }) => id)).toEqual(['z']);
    expect(await load()).toEqual(first);
  });

  it('asked for beside another is not taken for it', async () => {
    const other = await written({ 'fleet.yaml': 'apiVersion: foothold/v1\nkind: Fleet\nsites: [{ id: z }]\n' });
    for (let round = 0; round < 20; round++) {
      await load();
      const both = await Promise.all([load(), kept.load(join(other, 'fleet.yaml'))]);
      expect(both.map(({ sites }) => sites.map(({ id }) => id))).toEqual([['a', 'b', 'c'], ['z']]);
    }
  });

  it('cannot be changed by one who was given it', async () => {
    const [site] = (await load()).sites;
    expect(() => ((site?.vars as { port: number }).port += 1)).toThrow(TypeError);
    expect(() => site?.streams.push('x')).toThrow(TypeError);
  });
});
