import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { LARGEST_FILE } from '../../../records/files/read-text.js';
import { loadStrategy } from '../../../records/files/strategy-file.js';
import { readYamlFile } from '../../../records/files/yaml-file.js';
import { placeOf } from '../../../records/files/located.js';
import { refusalOf, written } from './written.js';

async function read(content: string | Uint8Array, name = 'a.yaml') {
  const directory = await written({ [name]: content });
  return readYamlFile(join(directory, name), 'FILE_INVALID');
}

async function refused(content: string | Uint8Array) {
  const directory = await written({ 'a.yaml': content });
  const { code, findings } = await refusalOf(directory, readYamlFile(join(directory, 'a.yaml'), 'FILE_INVALID'));
  expect(code).toBe('FILE_INVALID');
  return findings;
}

describe('[A26] a file that is no single plain document is refused', () => {
  const laughs = Array.from(
    { length: 9 },
    (_, i) =>
      `l${i}: &l${i} [${Array(9)
        .fill(i === 0 ? 'ha' : `*l${i - 1}`)
        .join(', ')}]`,
  );
  it.each<[string, string | Uint8Array, string]>([
    ['empty', '', 'a.yaml:1:1: expected a document, found an empty file'],
    ['only a comment', '# nothing\n', 'a.yaml:1:1: expected a document, found an empty file'],
    [
      'binary',
      Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, 0),
      'a.yaml: expected text, found a binary file (a NUL byte at offset 4)',
    ],
    ['not UTF-8', Uint8Array.of(0x61, 0xff, 0xfe), 'a.yaml: expected UTF-8 text'],
    ['UTF-16', Uint8Array.from(Buffer.from('a: 1', 'utf16le')), 'a.yaml: expected text, found a binary file'],
    ['too large', Buffer.alloc(LARGEST_FILE + 1, '#'), 'a.yaml: expected at most 4 MiB, found 4.0 MiB'],
    [
      'a list never closed',
      'a: [1,\nb: 2\n',
      'a.yaml:2:1: expected valid YAML or JSON, found a mistake in its form: Flow sequence',
    ],
    ['a quote never closed', 'a: 1\nb: "x\n', 'a.yaml:3:1: expected valid YAML or JSON'],
    ['a tab as indentation', 'a:\n\tb: 1\n', 'a.yaml:2:1: expected valid YAML or JSON'],
    ['a map in a map on one line', 'a: b: c\n', 'a.yaml:1:4: expected valid YAML or JSON'],
    ['two documents', 'a: 1\n---\nb: 2\n', 'a.yaml:2:1: expected one document in the file, found a second one'],
    ['a key twice', 'a: 1\nb: 2\na: 3\n', 'a.yaml:3:1: the key `a` is there twice; first at a.yaml:1:1'],
    [
      'a key twice, once in quotes',
      'x: { a: 1, "a": 2 }\n',
      'a.yaml:1:12: the key `a` is there twice; first at a.yaml:1:6',
    ],
    ['a list as key', '? [a]\n: 1\n', 'a.yaml:1:3: expected a plain word as key, found something else'],
    ['__proto__', '__proto__: { a: 1 }\n', 'a.yaml:1:1: expected a plain word as key, found something else'],
    ['an unknown alias', 'a: *x\n', 'a.yaml:1:4: expected an anchor `&x` before this alias, found none'],
    ['an alias inside of itself', 'a: &x [1, *x]\n', 'a.yaml:1:11: expected plain data, found `*x` inside of itself'],
    [
      'a billion laughs',
      `${laughs.join('\n')}\n`,
      'a.yaml:1:1: expected plain data, found aliases that repeat more than 10000 values',
    ],
    ['a depth that exhausts the memory', '['.repeat(5_000), 'a.yaml:1:66: expected at most 64 levels'],
    [
      'a depth that is closed again',
      `${'['.repeat(5_000)}${']'.repeat(5_000)}`,
      'a.yaml:1:66: expected at most 64 levels',
    ],
    ['a depth of dashes', `${'- '.repeat(5_000)}a`, 'a.yaml:1:'],
    ['a tag', 'a: !!binary aGk=\n', 'a.yaml:1:13: expected plain data, found the tag tag:yaml.org,2002:binary'],
    ['YAML 1.1', '%YAML 1.1\n---\na: yes\n', 'a.yaml:1:1: expected YAML 1.2, found %YAML 1.1'],
  ])('%s', async (_, content, finding) => {
    const findings = await refused(content);
    expect(findings[0]?.startsWith(finding), findings[0]).toBe(true);
    expect(findings.length).toBeLessThanOrEqual(3);
  });

  it('and so is what is no file', async () => {
    const directory = await written({ 'd/a.yaml': 'a: 1' });
    expect(await refusalOf(directory, readYamlFile(join(directory, 'd'), 'FILE_INVALID'))).toEqual({
      code: 'FILE_INVALID',
      findings: [`${'d'}: expected a file, found a directory`],
    });
    expect(await refusalOf(directory, readYamlFile(join(directory, 'gone.yaml'), 'FILE_INVALID'))).toEqual({
      code: 'FILE_NOT_FOUND',
      findings: ['gone.yaml: expected a file, found nothing there; check the path'],
    });
  });
});

describe('[A20] what people and programs write is taken', () => {
  it('with Windows line endings and a byte order mark, and positions stay true', async () => {
    const source = await read('\uFEFFa: 1\r\nb:\r\n  - x\r\n  - { c: y }\r\n');
    expect(source.data).toEqual({ a: 1, b: ['x', { c: 'y' }] });
    expect(placeOf(source, ['b', 1, 'c'])).toEqual({ line: 4, column: 10 });
    expect(placeOf(source, ['b', 1, 'c'], 'key')).toEqual({ line: 4, column: 7 });
    expect(placeOf(source, ['a'])).toEqual({ line: 1, column: 4 });
  });

  it('as JSON with tabs, escapes and large texts', async () => {
    const value = { a: ['\u00e5\u{1F600}/"\\\n', 1e3, -0.5, true, null, ''], b: { c: { d: [] } } };
    expect((await read(JSON.stringify(value, null, '\t'), 'a.json')).data).toEqual(value);
    expect((await read('{"a":"\\ud83d\\ude00\\/"}', 'a.json')).data).toEqual({ a: '\u{1F600}/' });
  });

  it('with anchors and aliases in moderation; the latest anchor of a name counts', async () => {
    const source = await read('a: &x { k: 1 }\nb: *x\nc: &x 2\nd: *x\n');
    expect(source.data).toEqual({ a: { k: 1 }, b: { k: 1 }, c: 2, d: 2 });
  });

  it('with words that other YAML versions read otherwise', async () => {
    expect((await read('a: no\nb: on\nc: 2020-01-01\nd: 1_000\ne: 012\n')).data).toEqual({
      a: 'no',
      b: 'on',
      c: '2020-01-01',
      d: '1_000',
      e: 12,
    });
  });
});

describe('[A26] the kind of a file', () => {
  it.each([
    [
      'of another kind',
      'apiVersion: foothold/v1\nkind: Fleet\n',
      'a.yaml:2:7: kind: expected `kind` to be `Strategy`, found `Fleet`',
    ],
    ['not said', 'apiVersion: foothold/v1\n', 'a.yaml:1:1: kind: expected `kind` to be `Strategy`, found nothing'],
    ['not available yet', 'kind: Windows\n', 'a.yaml:1:7: kind: kind `Windows` is not available yet'],
    ['of a list', '- a\n', 'a.yaml:1:1: expected a map that begins with `apiVersion` and `kind`, found a list'],
    ['of a word', 'hello\n', 'a.yaml:1:1: expected a map that begins with `apiVersion` and `kind`, found `hello`'],
  ])('%s', async (_, text, finding) => {
    const directory = await written({ 'a.yaml': text });
    const refusal = await refusalOf(directory, loadStrategy(join(directory, 'a.yaml')));
    expect(refusal).toEqual({ code: 'STRATEGY_INVALID', findings: [finding] });
  });
});
