import { describe, expect, test } from 'vitest';
import { RELEASE_CHECKS, SITE_CHECKS } from '../../../policies/preflight/checks.js';
import { declaredReport, isAllowed, type ReleaseFacts, type SiteFacts } from '../../../policies/preflight/facts.js';
import { judgeAtSite, judgePreflight } from '../../../policies/preflight/judge.js';
import type { SiteReport, StreamReport } from '../../../policies/model/report.js';

const REF = { stream: 'edge-proxy', version: '2.4.0', digest: `sha256:${'a'.repeat(64)}` };

function releaseFacts(file: Record<string, unknown> = {}, more: Partial<ReleaseFacts> = {}): ReleaseFacts {
  const written = {
    apiVersion: 'foothold/v1',
    kind: 'Release',
    stream: 'edge-proxy',
    version: '2.4.0',
    driver: { type: 'directory', files: './files', templates: ['*.conf'], target: '/etc/edge-proxy' },
    checks: [{ name: 'answers', http: 'http://127.0.0.1/health' }],
    watchFor: '0s',
    ...file,
  };
  return { ref: REF, written, templates: [], fleetStreams: new Set(['edge-proxy', 'firewall-policy', 'psk']), ...more };
}

const stream = (version?: string): StreamReport => ({
  state: 'idle',
  ...(version === undefined ? {} : { live: { version, digest: `sha256:${'b'.repeat(64)}` } }),
  generation: 0,
  try: 0,
  checks: [],
});

function reportOf(more: Partial<SiteReport> = {}): SiteReport {
  const streams = { 'edge-proxy': stream('2.3.0'), ...more.streams };
  return { ...declaredReport({ id: 'osl-01', versions: {} }), ...more, streams };
}

function siteFacts(more: Partial<SiteFacts> = {}): SiteFacts {
  const streams = ['edge-proxy', 'firewall-policy'];
  return { id: 'osl-01', vars: {}, streams, declaredVersions: {}, report: reportOf(), allowed: false, ...more };
}

/** `result code: detail` of every finding about the site. */
function findings(facts: ReleaseFacts, site: SiteFacts): string[] {
  return judgePreflight(facts, [site])
    .findings.filter((finding) => finding.site === site.id)
    .map((finding) => `${finding.result} ${finding.code}: ${finding.detail}`);
}

describe('a site that a person holds', () => {
  test('is told of, with who and until when, and blocks nothing', () => {
    const held = { code: 'HELD', detail: 'at the site by kari: mast', until: 0 } as const;
    const detail = 'at the site by kari: mast, until 1970-01-01T00:00:00.000Z; it is deferred, and counts with owed';
    expect(findings(releaseFacts(), siteFacts({ held }))).toEqual([`warn HELD: ${detail}`]);
    expect(judgePreflight(releaseFacts(), [siteFacts({ held })]).blocked).toBe(false);
    expect(findings(releaseFacts(), siteFacts())[0]).toMatch(/^pass/);
  });
});

describe('[A27] requires', () => {
  const judged = (range: string, report: Partial<SiteReport>, name = 'firmware'): string[] =>
    findings(releaseFacts({ requires: { [name]: range } }), siteFacts({ report: reportOf(report) }));

  test.each([
    ['>=3.2 <5', '3.4.1'],
    ['>=3.2 <5', '3.2.0'],
    // prereleases are included, and none of 5 is below 5
    ['>=3.2 <5', '4.0.0-rc.1'],
    ['^3.4.0', '3.5.0-beta'],
    ['1.x || 3.x', '3.0.0+build.7'],
  ])('%s is met by %s', (range, version) => {
    expect(judged(range, { versions: { firmware: version } })).toEqual([expect.stringMatching(/^pass PREFLIGHT_OK/)]);
  });

  test.each([
    ['>=3.2 <5', '3.1.9'],
    ['>=3.2 <5', '5.0.0'],
    ['>=3.2 <5', '5.0.0-rc.1'],
    ['>=3.2', '3.1.9-rc.1'],
  ])('%s is not met by %s', (range, version) => {
    expect(judged(range, { versions: { firmware: version } })).toEqual([
      `block REQUIRES_UNMET: requires firmware ${range}, the site reports ${version}`,
    ]);
  });

  test.each([
    [{}, 'does not report firmware'],
    [{ versions: { firmware: '3.4' } }, 'reports firmware 3.4, which is not a semver version'],
    [{ versions: { firmware: '' } }, 'reports firmware , which is not a semver version'],
    [{ versions: { firmware: 'unknown' } }, 'reports firmware unknown, which is not a semver version'],
  ])('what is not known is not met: %j', (report, words) => {
    expect(judged('*', report)).toEqual([`block REQUIRES_UNKNOWN: requires firmware *, the site ${words}`]);
  });

  test('a stream means its live release, before any version of that name', () => {
    const versions = { 'firewall-policy': '1.0.0' };
    const live = (version?: string): Partial<SiteReport> => ({ streams: { 'firewall-policy': stream(version) } });
    expect(judged('>=7', { ...live('7.1.0'), versions }, 'firewall-policy')).toEqual([expect.stringMatching(/^pass/)]);
    expect(judged('>=7', live('6.9.0'), 'firewall-policy')[0]).toMatch(/^block REQUIRES_UNMET.*reports 6\.9\.0/);
    expect(judged('>=7', live(), 'firewall-policy')[0]).toMatch(/^block REQUIRES_UNKNOWN.*nothing live/);
    expect(judged('*', live('0.0.0-adopted+012345678901'), 'firewall-policy')[0]).toMatch(
      /^block REQUIRES_UNKNOWN.*adopted/,
    );
  });

  test('names of Object are no versions', () => {
    expect(judged('*', {}, 'constructor')[0]).toMatch(/^block REQUIRES_UNKNOWN/);
  });
});

describe('[A27] conflicts', () => {
  const facts = (name: string, range: string): ReleaseFacts => releaseFacts({ conflicts: { [name]: range } });
  const withPolicy = (version?: string): SiteFacts =>
    siteFacts({ report: reportOf({ streams: { 'firewall-policy': stream(version) } }) });

  test('block where the range is met', () => {
    expect(findings(facts('firewall-policy', '<7'), withPolicy('6.0.0'))).toEqual([
      'block CONFLICTS: conflicts with firewall-policy <7, the site reports 6.0.0',
    ]);
    expect(findings(facts('firewall-policy', '<7'), withPolicy('6.9.9-rc.1'))[0]).toMatch(/^block CONFLICTS/);
    expect(findings(facts('firewall-policy', '<7'), withPolicy('7.0.0'))[0]).toMatch(/^pass/);
  });

  test('block where it cannot be told', () => {
    expect(findings(facts('firewall-policy', '<7'), withPolicy())[0]).toMatch(/^block REQUIRES_UNKNOWN/);
    expect(findings(facts('firewall-policy', '<7'), withPolicy('0.0.0-adopted+0123'))[0]).toMatch(/REQUIRES_UNKNOWN/);
    expect(findings(facts('firmware', '<3'), siteFacts())[0]).toMatch(
      /^block REQUIRES_UNKNOWN.*does not report firmware/,
    );
    // listed, but not reported: something unknown may be there
    expect(findings(facts('firewall-policy', '<7'), siteFacts())[0]).toMatch(/^block REQUIRES_UNKNOWN/);
  });

  test('pass for a stream of the fleet that the site does not list', () => {
    expect(findings(facts('psk', '<7'), siteFacts())[0]).toMatch(/^pass/);
  });
});

describe('[A26] variables', () => {
  const file = {
    vars: { listen: 'string', workers: 'integer', ratio: 'number', tls: 'boolean' },
    after: { exec: ['note', '{{mode}}'] },
  };
  const facts = releaseFacts(file, { templates: [{ path: 'files/nginx.conf', text: '{{listen}} {{site.id}}' }] });
  const vars = { listen: ':80', workers: 2, ratio: 0.5, tls: true, mode: 'fast' };

  test('all there', () => {
    expect(findings(facts, siteFacts({ vars }))[0]).toMatch(/^pass/);
  });

  test.each([
    ['listen', undefined, 'block VARIABLE_MISSING: no value for listen, used in files/nginx.conf'],
    ['mode', undefined, 'block VARIABLE_MISSING: no value for mode, used in after.exec[1]'],
    ['tls', undefined, 'block VARIABLE_MISSING: no value for tls, declared by the release'],
    ['listen', 80, 'block VARIABLE_TYPE: expected listen to be of type string, got 80'],
    ['workers', '2', 'block VARIABLE_TYPE: expected workers to be of type integer, got "2"'],
    ['workers', 2.5, 'block VARIABLE_TYPE: expected workers to be of type integer, got 2.5'],
    ['ratio', true, 'block VARIABLE_TYPE: expected ratio to be of type number, got true'],
    ['tls', 'yes', 'block VARIABLE_TYPE: expected tls to be of type boolean, got "yes"'],
  ])('%s = %j', (name, value, words) => {
    const others = Object.entries(vars).filter(([key]) => key !== name);
    const changed = Object.fromEntries(value === undefined ? others : [...others, [name, value]]);
    expect(findings(facts, siteFacts({ vars: changed }))).toEqual([words]);
  });
});

describe('what the site has been through', () => {
  const quarantined = [{ stream: 'edge-proxy', digest: REF.digest, version: '2.4.0', code: 'CHECK_FAILED', at: 1_000 }];
  const held = reportOf({ quarantined });

  test('a release that failed here is not tried again until a person allows it', () => {
    expect(findings(releaseFacts(), siteFacts({ report: held }))).toEqual([
      'block QUARANTINED: failed here before (CHECK_FAILED); to try again: foothold allow edge-proxy@2.4.0 --site osl-01 --reason …',
    ]);
    expect(findings(releaseFacts(), siteFacts({ report: held, allowed: true }))[0]).toMatch(/^pass/);
  });

  test('another release of the stream, or the same digest of another stream, is not meant', () => {
    const others = [
      { ...quarantined[0]!, digest: `sha256:${'c'.repeat(64)}` },
      { ...quarantined[0]!, stream: 'psk' },
    ];
    expect(findings(releaseFacts(), siteFacts({ report: reportOf({ quarantined: others }) }))[0]).toMatch(/^pass/);
  });

  test.each([
    [[], false],
    [[{ site: 'osl-01', at: 1_000 }], true],
    [[{ site: '*', at: 2_000 }], true],
    [[{ site: 'osl-01', at: 999 }], false],
    [[{ site: 'rig-01', at: 2_000 }], false],
  ])('allowances %j lift it: %s', (allowances, expected) => {
    expect(isAllowed(held, REF, allowances)).toBe(expected);
    // it failed again after it was allowed
    const again = reportOf({ quarantined: [...quarantined, { ...quarantined[0]!, at: 9_000 }] });
    expect(isAllowed(again, REF, allowances)).toBe(false);
  });

  test('a site that never reported is a warning, and what needs its report is not judged', () => {
    const facts = releaseFacts({ requires: { firmware: '>=3' }, vars: { listen: 'string' } });
    const absent = siteFacts({ report: undefined });
    expect(findings(facts, absent)).toEqual([
      expect.stringMatching(/^warn NOT_REPORTED/),
      expect.stringMatching(/^block VARIABLE_MISSING/),
    ]);
    expect(judgePreflight(releaseFacts({ requires: { firmware: '>=3' } }), [absent]).blocked).toBe(false);
  });

  test('nothing live: the site adopts, unless this may be its first release', () => {
    const bare = siteFacts({ report: { ...reportOf(), streams: {} } });
    expect(findings(releaseFacts(), bare)).toEqual([expect.stringMatching(/^warn LKG_ADOPTABLE/)]);
    expect(findings(releaseFacts({ first: true }), bare)[0]).toMatch(/^pass/);
  });

  test('what the fleet file declares and the site does not confirm is shown, and does not decide', () => {
    const facts = releaseFacts({ requires: { firmware: '>=3' } });
    const site = siteFacts({
      declaredVersions: { firmware: '2.0.0', other: '1' },
      report: reportOf({ versions: { firmware: '3.4.1' } }),
    });
    expect(findings(facts, site)).toEqual([
      'warn VERSION_DIFFERS: firmware: the fleet file declares 2.0.0, the site reports 3.4.1',
    ]);
  });
});

describe('the verdict', () => {
  test('[A26] a release that is not valid is the only finding, and blocks', () => {
    const broken = judgePreflight(releaseFacts({ driver: { type: 'magic' } }), [siteFacts()]);
    expect(broken.blocked).toBe(true);
    expect(broken.findings.map(({ check, code, site }) => ({ check, code, site }))).toEqual([
      { check: 'schema', code: 'RELEASE_INVALID', site: undefined },
    ]);
    for (const written of [undefined, null, 'text', [], {}]) {
      expect(judgePreflight(releaseFacts({}, { written }), [siteFacts()]).blocked).toBe(true);
    }
  });

  test.each<[string, ReleaseFacts]>([
    ['another version than its name says', releaseFacts({ version: '2.4.1' })],
    ['another stream', releaseFacts({ stream: 'psk' })],
    ['a template with a section', releaseFacts({}, { templates: [{ path: 'files/a.conf', text: '{{#x}}{{/x}}' }] })],
    ['a field that is not available yet', releaseFacts({ undo: 'none' })],
  ])('%s blocks', (_what, facts) => {
    const verdict = judgePreflight(facts, [siteFacts()]);
    expect(verdict.blocked).toBe(true);
    expect(verdict.findings.every((finding) => finding.code === 'RELEASE_INVALID')).toBe(true);
  });

  test('a blocked release is one finding, not one a site', () => {
    const facts = releaseFacts({}, { blocked: { rollout: 'edge-proxy-2.4.0-1', at: 5 } });
    const verdict = judgePreflight(facts, [siteFacts(), siteFacts({ id: 'osl-02' })]);
    expect(verdict.blocked).toBe(true);
    expect(verdict.findings.map(({ result, code, site }) => [site, result, code])).toEqual([
      [undefined, 'block', 'BLOCKED'],
      ['osl-01', 'pass', 'PREFLIGHT_OK'],
      ['osl-02', 'pass', 'PREFLIGHT_OK'],
    ]);
  });

  test('[A28] one blocking finding at one of many sites blocks; warnings alone do not', () => {
    const facts = releaseFacts({ conflicts: { firmware: '=3.1.3' } });
    const good = siteFacts({ report: reportOf({ versions: { firmware: '3.4.1' } }) });
    const bad = siteFacts({ id: 'osl-02', report: reportOf({ versions: { firmware: '3.1.3' } }) });
    expect(judgePreflight(facts, [good, bad]).blocked).toBe(true);
    expect(judgePreflight(facts, [good, siteFacts({ report: undefined })]).blocked).toBe(false);
    expect(judgePreflight(facts, [good, bad]).findings.map((finding) => finding.site)).toEqual([
      undefined,
      'osl-01',
      'osl-02',
    ]);
  });

  test('names of checks are unique', () => {
    const names = [...RELEASE_CHECKS, ...SITE_CHECKS].map((check) => check.name);
    expect(new Set([...names, 'schema', 'all']).size).toBe(names.length + 2);
  });
});

describe('at the site', () => {
  const self = siteFacts({ id: 'osl-01' });

  test.each<[string, ReleaseFacts, Partial<SiteFacts>]>([
    ['requires', releaseFacts({ requires: { firmware: '>=3' } }), {}],
    [
      'conflicts',
      releaseFacts({ conflicts: { firmware: '<3' } }),
      { report: reportOf({ versions: { firmware: '2.0.0' } }) },
    ],
    ['variables', releaseFacts({ vars: { listen: 'string' } }), {}],
    ['schema', releaseFacts({ checks: [] }), {}],
    ['quarantine', releaseFacts(), { report: reportOf({ quarantined: [{ ...REF, code: 'CHECK_FAILED', at: 1 }] }) }],
  ])('[A26] %s is judged again, in the same words', (check, facts, more) => {
    const site = { ...self, ...more };
    const central = judgePreflight(facts, [site]).findings.find((finding) => finding.result === 'block');
    expect(central?.check).toBe(check);
    expect(judgeAtSite(facts, site)).toEqual({ code: central?.code, detail: central?.detail });
  });

  test('what is in order, and what only the centre knows, is no reason to refuse', () => {
    expect(judgeAtSite(releaseFacts(), self)).toBeUndefined();
    const bare = { ...self, report: { ...reportOf(), streams: {} } };
    expect(judgeAtSite(releaseFacts({ conflicts: { 'firewall-policy': '<7' } }), bare)).toBeUndefined();
  });
});

describe('queue', () => {
  test.each([
    ['its own', { queue: 'site-osl-01' }, []],
    ['not known', {}, []],
    ['of a bridge', { queue: 'bridge-north' }, ['QUEUE_NOT_SERVED']],
  ])('%s', (_case, more, codes) => {
    const found = judgePreflight(releaseFacts({}), [siteFacts(more)]).findings;
    expect(found.filter(({ check }) => check === 'queue').map(({ code }) => code)).toEqual(codes);
    expect(found.some(({ result }) => result === 'block')).toBe(false);
  });
});
