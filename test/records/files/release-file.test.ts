import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseReleaseData } from '../../../policies/model/release.js';
import { loadRelease } from '../../../records/files/release-file.js';
import { changed, refusalOf, written } from './written.js';

const RELEASE = `apiVersion: foothold/v1
kind: Release
stream: edge-proxy
version: "2.4.0"
requires: { firmware: ">=3.2 <5" }
driver: { type: directory, files: ./files, target: /etc/edge-proxy }
checks:
  - { name: answers, http: "http://127.0.0.1/health" }
confirm: { within: 2m, healthyFor: 20s }
`;
const TWO_CHECKS = '  - { name: answers, http: "http://127.0.0.1/health" }';

async function refused(text: string) {
  const directory = await written({ 'release.yaml': text });
  return refusalOf(directory, loadRelease(directory));
}

describe('[A20] a release file', () => {
  it('is read with every default filled in, and its flat driver unfolded', async () => {
    const directory = await written({ 'release.yaml': RELEASE });
    const loaded = await loadRelease(directory);
    expect(loaded.directory).toBe(directory);
    expect(loaded.release).toEqual({
      apiVersion: 'foothold/v1',
      kind: 'Release',
      stream: 'edge-proxy',
      version: '2.4.0',
      undo: 'automatic',
      requires: { firmware: '>=3.2 <5' },
      conflicts: {},
      vars: {},
      secrets: [],
      components: [
        {
          name: 'main',
          driver: { type: 'directory', files: './files', templates: [], target: '/etc/edge-proxy', timeout: 30_000 },
        },
      ],
      checks: [
        {
          name: 'answers',
          http: 'http://127.0.0.1/health',
          expect: 200,
          every: 5_000,
          timeout: 2_000,
          failures: 3,
          need: 'required',
        },
      ],
      alreadySick: 'reject',
      first: false,
      confirm: { within: 120_000, healthyFor: 20_000, uplink: 'ignored' },
      watchFor: 86_400_000,
    });
  });

  it('is found as .yaml, .yml or .json, by its directory or by its own path', async () => {
    const yaml = await written({ 'release.yaml': RELEASE });
    const { filled, release } = await loadRelease(yaml);
    for (const name of ['release.yml', 'release.json']) {
      const directory = await written({ [name]: name.endsWith('json') ? JSON.stringify(filled, null, '\t') : RELEASE });
      expect((await loadRelease(directory)).release).toEqual(release);
      expect((await loadRelease(join(directory, name))).directory).toBe(directory);
    }
  });

  it('is refused where two could be meant, and where there is none', async () => {
    const two = await written({ 'release.yaml': RELEASE, 'release.json': '{}' });
    expect((await refusalOf(two, loadRelease(two))).findings[0]).toMatch(
      'expected one release file, found release.yaml and release.json',
    );
    const none = await written({ 'other.yaml': RELEASE });
    expect((await refusalOf(dirname(none), loadRelease(none))).code).toBe('FILE_NOT_FOUND');
    expect((await refusalOf(none, loadRelease(join(none, 'gone')))).code).toBe('FILE_NOT_FOUND');
  });

  it('filled in gives the same release again, for every form of component and check', async () => {
    const drivers = [
      'driver: { type: directory, files: f, target: /t, reload: [nginx, -s, reload], timeout: 10s }',
      'driver: { type: exec, files: f, apply: [a], verify: [v], revert: [r], save: [s], templates: ["*.x"] }',
      'components: [{ name: a, driver: { type: directory, files: f, target: /t } }, { name: b, driver: { type: exec, files: f, apply: [a], verify: [v], revert: [r], save: [s], timeout: 5m } }]',
    ];
    const checks = [
      'checks: [{ name: a, http: x, every: 1s, timeout: 500ms, expect: 204 }]',
      'checks: [{ name: a, tcp: "h:1" }, { name: b, exec: [x, "-y"], need: wanted, failures: 1 }]',
      'checks: [{ name: a, metric: "http://h/m", series: "e{u=\\"{{u}}\\"}", per: t, rate: 30s, below: 0.5, several: sum, passes: 2 }]',
      'checks: [{ name: a, tls: "h:1", daysLeft: 14, protocol: TLSv1.3, suites: [TLS_AES_256_GCM_SHA384], ca: ca.pem, serverName: x }]',
      'checks: [{ name: a, peer: "h:1" }, { name: b, peer: "http://h/echo" }, { name: c, person: is it green, within: 5m }]',
      'checks: none\nbecause: there is nothing to ask',
    ];
    const rest = [
      '',
      'before: { exec: [a] }\nafter: { exec: [b], timeout: 90s }\n',
      'first: true\nalreadySick: proceed\nvars: { a: integer }\nconfirm: { within: 25h, healthyFor: 0s, uplink: required }\nwatchFor: 0m\n',
    ];
    for (const driver of drivers) {
      for (const check of checks) {
        for (const more of rest) {
          const text = `apiVersion: foothold/v1\nkind: Release\nstream: s\nversion: 1.0.0-rc.1+b5\n${driver}\n${check}\n${more}`;
          const directory = await written({ 'release.yaml': text });
          const loaded = await loadRelease(directory);
          expect(parseReleaseData(JSON.parse(JSON.stringify(loaded.filled)))).toEqual(loaded.release);
        }
      }
    }
  });
});

describe('[A26] the fields of each kind of check are checked', () => {
  const metric = 'metric: "http://h:1/m", series: e';
  it.each([
    ['metric: m, series: e, below: 1', 'checks[0].metric: expected an address that begins with http'],
    ['metric: "http://h:x/m", series: e, below: 1', 'checks[0].metric: expected an address that begins with http'],
    [`${metric}`, 'checks[0]: expected `below`, `above` or both, found neither'],
    [`${metric}, below: 1, above: 1`, 'checks[0].above: expected above to be less than below'],
    ['metric: "http://h/m", series: "e{", below: 1', 'checks[0].series: expected a series such as'],
    ["metric: 'http://h/m', series: 'e{a=~\"x\"}', below: 1", 'checks[0].series: expected a series such as'],
    [`${metric}, per: "1x", below: 1`, 'checks[0].per: expected a series such as'],
    [`${metric}, below: 1, rate: 1s`, 'checks[0].rate: expected a window of at least `every`'],
    [`${metric}, below: 1, rate: 105s`, 'checks[0].rate: expected a time that leaves healthyFor within'],
    ['metric: "http://h/m", below: 1', 'checks[0]: `series` is missing'],
    ['tls: h', 'checks[0].tls: expected a host and a port'],
    ['tls: "h:65536"', 'checks[0].tls: expected a host and a port'],
    ['tls: "h:1", protocol: SSLv3', 'checks[0].protocol: expected `TLSv1.2` or `TLSv1.3`'],
    ['tls: "h:1", daysLeft: 0.5', 'checks[0].daysLeft: expected a whole number of days'],
    ['tls: "h:1", suites: [x y]', 'checks[0].suites[0]: expected the name of a cipher suite'],
    ['peer: h', 'checks[0].peer: expected an http address'],
    ['peer: "ftp://h:1"', 'checks[0].peer: expected an http address'],
    ['person: ""', 'checks[0].person: expected text'],
    ['person: ok, within: 3m', 'checks[0].within: expected a time that leaves healthyFor within'],
    ['tcp: "h:1", passes: 0', 'checks[0].passes: expected a whole number of at least 1'],
  ])('%s', async (written, finding) => {
    const { findings } = await refused(changed(RELEASE, 'http: "http://127.0.0.1/health"', written));
    expect(findings).toHaveLength(1);
    expect(findings[0]).toContain(finding);
  });

  it('variables stand for what the site will put there', async () => {
    const kinds = [
      `metric: "http://{{host}}:{{port}}/m", series: '{{unit}}_total{a="{{b}}"}', below: 1`,
      'tls: "{{host}}:{{port}}"',
      'peer: "{{other}}:9464"',
    ];
    for (const kind of kinds) {
      const directory = await written({ 'release.yaml': changed(RELEASE, 'http: "http://127.0.0.1/health"', kind) });
      expect((await loadRelease(directory)).release.checks).toHaveLength(1);
    }
  });
});

describe('[A26] what is not available yet is refused by name', () => {
  it.each([
    ['first line', 'kind: Release', 'kind: Release\nundo: none', '3:1: `undo: none` is not available yet'],
    ['secrets', 'kind: Release', 'kind: Release\nsecrets: [tls-key]', '3:1: `secrets` is not available yet'],
  ])('%s', async (_, from, to, finding) => {
    expect(await refused(changed(RELEASE, from, to))).toEqual({
      code: 'RELEASE_INVALID',
      findings: [`release.yaml:${finding}`],
    });
  });

  it('but a value that asks for nothing is taken', async () => {
    const text = changed(RELEASE, 'kind: Release', 'kind: Release\nundo: automatic\nsecrets: []\nwatchFor: 0s');
    const directory = await written({ 'release.yaml': changed(text, '20s', '20s, uplink: ignored') });
    expect((await loadRelease(directory)).release.watchFor).toBe(0);
  });
});

describe('[A26] the shape of a release is checked at the place of the fault', () => {
  it.each([
    [
      'a mistyped key',
      'stream:',
      'strem:',
      [
        '1:1: `stream` is missing: expected a name of 1 to 63',
        '3:1: unknown key `strem`; the nearest known key is `stream`',
      ],
    ],
    [
      'a mistyped key of a check',
      'http: ',
      'exepct: 201, http: ',
      ['8:22: checks[0]: unknown key `exepct`; the nearest known key is `expect`'],
    ],
    [
      'a check of no kind',
      'http: "http://127.0.0.1/health"',
      'every: 1s',
      [
        '8:5: checks[0]: expected one of the keys `http`, `tcp`, `exec`, `tls`, `metric`, `peer`, `person`, found none of them',
      ],
    ],
    [
      'a check of a mistyped kind',
      'http: ',
      'htpp: ',
      ['8:22: checks[0]: unknown key `htpp`; the nearest known key is `http`'],
    ],
    [
      'a check of two kinds',
      'http: ',
      'tcp: "h:1", http: ',
      [
        '8:34: checks[0]: expected only one of `http`, `tcp`, `exec`, `tls`, `metric`, `peer`, `person`, found `tcp` and `http`',
      ],
    ],
    [
      'a check that is no map',
      TWO_CHECKS,
      '  - answers',
      [
        '8:5: checks[0]: expected a check: a map with `name` and one of `http`, `tcp`, `exec`, `tls`, `metric`, `peer` or `person`, found `answers`',
      ],
    ],
    [
      'a wrong value in a check',
      'http: "http://127.0.0.1/health"',
      'http: 8080',
      ['8:28: checks[0].http: expected text that is not empty, found the number 8080; put it in quotes'],
    ],
    [
      'checks that are a word',
      `checks:\n${TWO_CHECKS}`,
      'checks: nome',
      ['7:9: checks: expected a list of at least one check, or `none`, found `nome`'],
    ],
    [
      'no checks at all',
      `checks:\n${TWO_CHECKS}\n`,
      '',
      ['1:1: `checks` is missing: expected a list of at least one check, or `none`'],
    ],
    [
      'an empty list of checks',
      `checks:\n${TWO_CHECKS}`,
      'checks: []',
      ['7:9: checks: expected a list of at least one check, found an empty list'],
    ],
    [
      'a mistyped driver',
      'type: directory',
      'type: directry',
      ['6:17: driver.type: expected `directory` or `exec`, found `directry`; the nearest is `directory`'],
    ],
    [
      'a driver without a type',
      'type: directory, ',
      '',
      ['6:9: driver: `type` is missing: expected `directory` or `exec`'],
    ],
    [
      "another driver's key",
      'target: /etc',
      'aply: [x], target: /etc',
      ['6:44: driver: unknown key `aply`; known keys: type, files, templates, target, reload, timeout'],
    ],
    [
      'a version that YAML reads as a number',
      '"2.4.0"',
      '2.4',
      ['4:10: version: expected a semver version in quotes, such as "2.4.0", found the number 2.4; put it in quotes'],
    ],
    [
      'a number for a duration',
      'within: 2m',
      'within: 120',
      [
        '9:20: confirm.within: expected a duration above 0 and at most 24d, such as 500ms, 30s or 10m, found the number 120',
      ],
    ],
    [
      'a duration in words',
      'within: 2m',
      'within: 2 minutes',
      [
        '9:20: confirm.within: expected a duration above 0 and at most 24d, such as 500ms, 30s or 10m, found `2 minutes`',
      ],
    ],
    [
      'a time limit of nothing',
      'within: 2m',
      'within: 0s',
      ['9:20: confirm.within: expected a duration above 0 and at most 24d, found `0s`'],
    ],
    [
      'nothing behind a key',
      '{ within: 2m, healthyFor: 20s }',
      '',
      ['9:10: confirm: expected a map of keys and values, found nothing'],
    ],
    [
      'a mistyped choice',
      'kind: Release',
      'kind: Release\nalreadySick: procede',
      ['3:14: alreadySick: expected `reject` or `proceed`, found `procede`; the nearest is `proceed`'],
    ],
    [
      'a variable called site',
      'kind: Release',
      'kind: Release\nvars: { site: string }',
      [
        '3:9: vars: expected a variable name of letters, digits and underscores, other than `site` as key, found `site`',
      ],
    ],
    [
      'rules for drift that could never apply',
      'confirm:',
      'drift: [{ paths: [/etc/x, "../y", "."], then: repair, component: relay }]\nconfirm:',
      ['/etc/x', '../y', '`relay`'],
    ],
    [
      'a rule for drift with another word',
      'confirm:',
      'drift: [{ paths: ["*"], then: ignore }]\nconfirm:',
      ['drift[0].then'],
    ],
    [
      'another apiVersion',
      'foothold/v1',
      'foothold/v2',
      ['1:13: apiVersion: expected `foothold/v1`, found `foothold/v2`; the nearest is `foothold/v1`'],
    ],
  ])('%s', async (_, from, to, starts) => {
    const { code, findings } = await refused(changed(RELEASE, from, to));
    expect(code).toBe('RELEASE_INVALID');
    expect(findings).toHaveLength(starts.length);
    starts.forEach((start, i) => expect(findings[i]?.slice('release.yaml:'.length)).toContain(start));
  });

  it('says everything that is wrong, in the order of the file', async () => {
    const text = changed(changed(RELEASE, 'stream: edge-proxy', 'stream: Edge'), 'type: directory', 'type: x');
    const { findings } = await refused(`${text}bogus: 1\nundo: none\n`);
    expect(findings.map((line) => line.split(': ')[0])).toEqual([
      'release.yaml:3:9',
      'release.yaml:6:17',
      'release.yaml:10:1',
      'release.yaml:11:1',
    ]);
  });
});

describe('[A26] the rules of a release', () => {
  const component = (name: string) => `{ name: ${name}, driver: { type: directory, files: f, target: /t } }`;
  const flat = 'driver: { type: directory, files: ./files, target: /etc/edge-proxy }';
  it.each([
    [
      'components beside driver',
      'kind: Release',
      `kind: Release\ncomponents: [${component('a')}]`,
      '7:1: expected either `components` or `driver`, found both',
    ],
    [
      'neither components nor driver',
      `${flat}\n`,
      '',
      '1:1: expected `components`, or `driver` for a single one, found neither',
    ],
    [
      'a component twice',
      flat,
      `components: [${component('a')}, ${component('a')}]`,
      '6:86: components[1].name: the component `a` is there twice; first at release.yaml:6:22',
    ],
    [
      'a check twice',
      TWO_CHECKS,
      `${TWO_CHECKS}\n${TWO_CHECKS}`,
      '9:13: checks[1].name: the check `answers` is there twice; first at release.yaml:8:13',
    ],
    ['no required check', 'http: ', 'need: wanted, http: ', '7:1: expected at least one check with `need: required`'],
    ['no check and no reason', `checks:\n${TWO_CHECKS}`, 'checks: none', '7:1: `checks: none` needs `because:`'],
    [
      'healthyFor beyond within',
      'healthyFor: 20s',
      'healthyFor: 3m',
      '9:36: confirm.healthyFor: expected healthyFor at most within, both count from the switch: healthyFor: 3m exceeds within: 2m',
    ],
    [
      'a version that is no semver',
      '"2.4.0"',
      '"2.4"',
      '4:10: version: expected a semver version such as 2.4.0, found `2.4`',
    ],
    [
      'a version with a v',
      '"2.4.0"',
      'v2.4.0',
      '4:10: version: expected a semver version such as 2.4.0, found `v2.4.0`',
    ],
    [
      'the version of adopted releases',
      '"2.4.0"',
      '0.0.0-adopted+0123456789ab',
      '4:10: version: expected another version',
    ],
    [
      'a range that is none',
      '">=3.2 <5"',
      '"newer than 3"',
      '5:23: requires.firmware: expected a semver range such as ">=3.2 <5", found `newer than 3`',
    ],
  ])('%s', async (_, from, to, finding) => {
    const { code, findings } = await refused(changed(RELEASE, from, to));
    expect(code).toBe('RELEASE_INVALID');
    expect(findings).toHaveLength(1);
    expect(findings[0]?.startsWith(`release.yaml:${finding}`), findings[0]).toBe(true);
  });
});
