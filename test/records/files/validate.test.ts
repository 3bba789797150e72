import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { jsonSchemaFiles } from '../../../records/files/json-schemas.js';
import { validateFile } from '../../../records/files/validate.js';
import { refusalOf, written } from './written.js';

const FILES: Record<string, string> = {
  'r/release.yaml':
    'apiVersion: foothold/v1\nkind: Release\nstream: s\nversion: 1.0.0\ndriver: { type: directory, files: f, target: /t }\nchecks: none\nbecause: x\n',
  's.yaml':
    'apiVersion: foothold/v1\nkind: Strategy\nname: careful\ndefaults: { gate: none, because: x }\nstages: [{ name: all }]\n',
  'f.yaml': 'apiVersion: foothold/v1\nkind: Fleet\ninclude: [t.csv]\n',
  't.csv': 'id\na\n',
  'p.yaml': 'apiVersion: foothold/v1\nkind: Project\ndepot: { read: "http://h/" }\n',
  'a.yaml':
    'apiVersion: foothold/v1\nkind: Agent\nsite: osl-01\ndata: d\ncontrolKeys: [not-here.pub]\ndepot: http://h/\n',
};

describe('[A26] validate', () => {
  it('knows every kind of file by what it says it is', async () => {
    const directory = await written(FILES);
    const names = ['r', 'r/release.yaml', 's.yaml', 'f.yaml', 'p.yaml', 'a.yaml'];
    const valid = await Promise.all(names.map((name) => validateFile(join(directory, name))));
    expect(valid.map(({ kind, name }) => [kind, name.replace(`${directory}/`, '')])).toEqual([
      ['Release', 's@1.0.0'],
      ['Release', 's@1.0.0'],
      ['Strategy', 'careful'],
      ['Fleet', 'f.yaml'],
      ['Project', 'p.yaml'],
      ['Agent', 'osl-01'],
    ]);
    expect(valid[0]?.filled).toMatchObject({ watchFor: '1d', confirm: { within: '10m', healthyFor: '30s' } });
    expect(valid[2]?.filled).toMatchObject({
      defaults: { soak: '10m', concurrency: 10, budget: { failed: 0, owed: '10%' } },
    });
  });

  it.each([
    ['kind: Windows', 'x.yaml:1:7: kind: kind `Windows` is not available yet'],
    ['kind: Guardrails', 'x.yaml:1:7: kind: kind `Guardrails` is not available yet'],
    [
      'kind: Relaese',
      'x.yaml:1:7: kind: expected `kind` to be `Release`, `Strategy`, `Fleet`, `Project`, `Agent`, found `Relaese`; the nearest is `Release`',
    ],
    [
      'a: 1',
      'x.yaml:1:1: kind: expected `kind` to be `Release`, `Strategy`, `Fleet`, `Project`, `Agent`, found nothing',
    ],
  ])('refuses %s', async (text, finding) => {
    const directory = await written({ 'x.yaml': text });
    expect(await refusalOf(directory, validateFile(join(directory, 'x.yaml')))).toEqual({
      code: 'FILE_INVALID',
      findings: [finding],
    });
  });
});

describe('[A20] the JSON Schemas for editors', () => {
  it('are those of the code; if this fails, run `npm run schemas` and commit docs/schemas', async () => {
    const directory = join(import.meta.dirname, '../../../docs/schemas');
    const committed = (await readdir(directory)).filter((name) => name.endsWith('.schema.json'));
    const expected = jsonSchemaFiles();
    expect(committed.sort()).toEqual([...expected.keys()].sort());
    for (const name of committed) expect(await readFile(join(directory, name), 'utf8'), name).toBe(expected.get(name));
  });
});
