import { describe, expect, test } from 'vitest';
import { parseReleaseData, type Driver, type Release } from '../../../policies/model/release.js';
import { componentFiles, globToRegExp } from '../../../policies/render/files.js';
import { missingVariables, renderRelease, variableUses } from '../../../policies/render/release.js';

const release: Release = parseReleaseData({
  apiVersion: 'foothold/v1',
  kind: 'Release',
  stream: 'edge-proxy',
  version: '2.4.0',
  vars: { listen: 'string', workers: 'integer', unused: 'boolean' },
  components: [
    {
      name: 'config',
      driver: {
        type: 'directory',
        files: './files',
        templates: ['*.conf'],
        target: '{{site.data}}/etc',
        timeout: '10s',
      },
    },
    {
      name: 'relay',
      driver: {
        type: 'exec',
        files: './relay',
        apply: ['./ctl', '{{mode}}'],
        verify: ['v'],
        revert: ['r'],
        save: ['s'],
      },
    },
  ],
  after: { exec: ['undrain', '{{site.id}}'] },
  checks: [{ name: 'answers', http: 'http://{{listen}}/health' }],
  watchFor: '0s',
});
const templates = [{ path: 'files/nginx.conf', text: 'workers {{workers}};' }];
const vars = { listen: '127.0.0.1:80', workers: 2, unused: true, mode: 'fast' };

test('every use of a variable is known with its place', () => {
  expect(variableUses(release, templates)).toEqual([
    { name: 'site.data', where: 'components.config.target' },
    { name: 'mode', where: 'components.relay.apply[1]' },
    { name: 'site.id', where: 'after.exec[1]' },
    { name: 'listen', where: 'checks.answers.http' },
    { name: 'workers', where: 'files/nginx.conf' },
  ]);
});

test('a text that is no template is refused with its place', () => {
  const broken = [{ path: 'files/x.conf', text: '{{#if}}' }];
  expect(() => variableUses(release, broken)).toThrow(/^files\/x\.conf: /);
});

test('[A26] missing is what is declared or used and has no value, but not what every site has', () => {
  expect(missingVariables(release, templates, vars)).toEqual([]);
  expect(missingVariables(release, templates, { listen: '' })).toEqual(['mode', 'unused', 'workers']);
  expect(missingVariables(release, templates, {})).toEqual(['listen', 'mode', 'unused', 'workers']);
});

test('driver, before, after and checks are rendered', () => {
  const rendered = renderRelease(release, { vars, site: { id: 'osl-01', data: '/data' } });
  expect(rendered.components[0]?.driver).toMatchObject({ target: '/data/etc', timeout: 10_000 });
  expect(rendered.components[1]?.driver).toMatchObject({ apply: ['./ctl', 'fast'] });
  expect(rendered.after).toEqual({ exec: ['undrain', 'osl-01'], timeout: 30_000 });
  expect(rendered.checks[0]).toMatchObject({ http: 'http://127.0.0.1:80/health', every: 5_000 });
  expect('before' in rendered).toBe(false);
});

describe('the files of a component', () => {
  const paths = ['ctl', 'files/a.conf', 'files/sub/b.conf', 'files2/c.conf', 'relay/ctl'].map((path) => ({ path }));
  const driver = (files: string, templates: string[] = []): Driver => ({
    type: 'directory',
    files,
    templates,
    target: '/t',
    timeout: 1,
  });
  const named = (files: string, ...templates: string[]): string[] =>
    componentFiles(driver(files, templates), paths).map(({ name, template }) => (template ? `${name}*` : name));

  test.each([
    ['./files', [], ['a.conf', 'sub/b.conf']],
    ['files/', ['*.conf'], ['a.conf*', 'sub/b.conf']],
    ['./files', ['**/*.conf'], ['a.conf*', 'sub/b.conf*']],
    ['./files', ['sub/?.conf'], ['a.conf', 'sub/b.conf*']],
    ['./files', ['**'], ['a.conf*', 'sub/b.conf*']],
    ['./relay/ctl', ['*'], ['ctl*']],
    ['./files/sub', ['./b.conf'], ['b.conf*']],
    ['.', [], ['ctl', 'files/a.conf', 'files/sub/b.conf', 'files2/c.conf', 'relay/ctl']],
    ['./nothing', [], []],
  ])('files %j, templates %j: %j', (files, templates, expected) => {
    expect(named(files, ...templates)).toEqual(expected);
  });

  test('no other letter of a glob is special', () => {
    expect(globToRegExp('a+b(1).[c]').test('a+b(1).[c]')).toBe(true);
    expect(globToRegExp('a.c').test('abc')).toBe(false);
    expect(globToRegExp('é*☃').test('é--☃')).toBe(true);
  });
});
