import { describe, expect, it } from 'vitest';
import type { Keyset, SiteIdentity } from '../../../policies/model/enrolment.js';
import type { ResolvedFleet, Site } from '../../../policies/model/fleet.js';
import {
  judgeSiteKeys,
  missingSites,
  nextVersion,
  strandedSites,
  vouchingKeys,
} from '../../../policies/signing/judge-rotation.js';
import { decideEnrolment } from '../../../policies/site/decide-enrolment.js';
import { judgeAddressee } from '../../../policies/site/judge-addressee.js';
import { judgeImport, withRetired } from '../../../policies/site/judge-import.js';
import { decideKeyset } from '../../../policies/site/judge-keyset.js';
import { judgeSpeaker } from '../../../policies/site/judge-speaker.js';

const hash = (letter: string) => letter.repeat(64);

describe('whom a command is for, at the site', () => {
  const self = { epoch: 2, instance: 'i1', sequence: 10, hashAt: (n: number) => (n === 10 ? hash('a') : undefined) };
  const acked = { epoch: 2, sequence: 10, hash: hash('a') };
  const rows: [string, Parameters<typeof judgeAddressee>[0], string | undefined][] = [
    ['its own', { epoch: 2, instance: 'i1', ackedThrough: acked }, undefined],
    ['before the instance was known', { epoch: 2, ackedThrough: { epoch: 2, sequence: 0 } }, undefined],
    ['an older epoch, said by nothing', { ackedThrough: acked }, 'WRONG_EPOCH'],
    ['a later epoch', { epoch: 3, ackedThrough: acked }, 'WRONG_EPOCH'],
    ['another instance', { epoch: 2, instance: 'i2', ackedThrough: acked }, 'ENROLMENT_USED'],
    ['another event there', { epoch: 2, ackedThrough: { ...acked, hash: hash('b') } }, 'JOURNAL_FORKED'],
    ['events that it never had', { epoch: 2, ackedThrough: { ...acked, sequence: 11 } }, 'JOURNAL_FORKED'],
    ['an event kept no longer', { epoch: 2, ackedThrough: { ...acked, sequence: 3, hash: hash('b') } }, undefined],
    ['an event of another epoch', { epoch: 2, ackedThrough: { ...acked, epoch: 1, sequence: 99 } }, undefined],
    ['an older centre, without a hash', { epoch: 2, ackedThrough: { epoch: 2, sequence: 99 } }, undefined],
  ];
  it.each(rows)('%s', (_case, command, code) => {
    expect(judgeAddressee(command, self)?.code).toBe(code);
  });
  it('one that was never enrolled refuses what is for an instance', () => {
    const command = { instance: 'i1', ackedThrough: { epoch: 1, sequence: 0 } };
    expect(judgeAddressee(command, { ...self, epoch: 1, instance: undefined })?.code).toBe('ENROLMENT_USED');
  });
});

describe('who speaks for a site, at the centre', () => {
  const token = { id: 't1', expiresAt: 1_000 };
  const bound: SiteIdentity = { site: 's', epoch: 1, token, instance: 'i1', boundAt: 10 };
  const second: SiteIdentity = { site: 's', epoch: 2, token };
  const by = (instance: string, tokenId = 't1') => ({ enrolment: { tokenId, instance } });
  const rows: [string, SiteIdentity | undefined, object, { forkedAt?: number }, string][] = [
    ['a site that was never enrolled', undefined, { epoch: 1 }, {}, 'speaks'],
    ['its journal is another', undefined, { epoch: 1 }, { forkedAt: 7 }, 'doubt JOURNAL_FORKED'],
    ['a token that nobody used yet', { site: 's', epoch: 1, token }, { epoch: 1 }, {}, 'speaks'],
    ['the first to report it', { site: 's', epoch: 1, token }, { epoch: 1, ...by('i1') }, {}, 'bind'],
    ['the same again', bound, { epoch: 1, ...by('i1') }, {}, 'speaks'],
    ['a second one with it', bound, { epoch: 1, ...by('i2') }, {}, 'refused ENROLMENT_USED'],
    ['one without it', bound, { epoch: 1 }, {}, 'refused ENROLMENT_UNKNOWN'],
    ['one with another', bound, { epoch: 1, ...by('i1', 't0') }, {}, 'refused ENROLMENT_UNKNOWN'],
    ['a copy of its disk', bound, { epoch: 1, ...by('i1') }, { forkedAt: 7 }, 'doubt JOURNAL_FORKED'],
    ['the agent of before a replacement', second, { epoch: 1, ...by('i0', 't0') }, {}, 'refused WRONG_EPOCH'],
    ['an empty disk after a replacement', second, { epoch: 1 }, {}, 'refused WRONG_EPOCH'],
    ['an epoch that only a token gives, without one', second, { epoch: 2 }, {}, 'refused ENROLMENT_UNKNOWN'],
    ['the new agent', second, { epoch: 2, ...by('i2') }, {}, 'bind'],
    ['a later epoch that nothing proves', bound, { epoch: 50, ...by('i3', 't3') }, {}, 'refused ENROLMENT_UNKNOWN'],
    ['a later epoch without an enrolment', bound, { epoch: 50 }, {}, 'refused ENROLMENT_UNKNOWN'],
    ['an enrolment that nothing proves', undefined, { epoch: 1, ...by('i1') }, {}, 'refused ENROLMENT_UNKNOWN'],
    [
      'a retired one',
      { ...bound, retired: { at: 1, by: 'x', reason: 'sold' } },
      { epoch: 9 },
      {},
      'refused SITE_RETIRED',
    ],
  ];
  it.each(rows)('%s', (_case, identity, report, journal, expected) => {
    const speaker = judgeSpeaker(identity, { site: 's', epoch: 1, ...report }, journal, undefined, 500);
    expect(`${speaker.kind}${'reason' in speaker ? ` ${speaker.reason.code}` : ''}`).toBe(expected);
  });
  const proof = { id: 't3', site: 's', epoch: 3 };
  const adoptions: [string, SiteIdentity | undefined, object, { forkedAt?: number }, typeof proof, string][] = [
    ['a later epoch', bound, { epoch: 3, ...by('i3', 't3') }, {}, proof, 'adopt'],
    ['an enrolment', undefined, by('i1', 't3'), {}, { ...proof, epoch: 1 }, 'adopt'],
    ['an enrolment, in another journal', undefined, by('i1', 't3'), { forkedAt: 2 }, { ...proof, epoch: 1 }, 'doubt'],
    ['another site’s token', bound, { epoch: 3, ...by('i3', 't3') }, {}, { ...proof, site: 'x' }, 'refused'],
    ['the token of another epoch', bound, { epoch: 50, ...by('i3', 't3') }, {}, proof, 'refused'],
    ['another token than it names', bound, { epoch: 3, ...by('i3', 't4') }, {}, proof, 'refused'],
    ['a token beside no enrolment', bound, { epoch: 3 }, {}, proof, 'refused'],
  ];
  it.each(adoptions)(
    'a registry put back, with a proven token: %s',
    (_case, identity, report, journal, proven, expected) => {
      expect(judgeSpeaker(identity, { site: 's', epoch: 1, ...report }, journal, proven, 500).kind).toBe(expected);
    },
  );
  it('a token past its time binds nobody, and goes on for the one that it bound', () => {
    expect(judgeSpeaker(second, { site: 's', epoch: 2, ...by('i2') }, {}, undefined, 1_001)).toMatchObject({
      kind: 'refused',
      reason: { code: 'ENROLMENT_EXPIRED' },
    });
    expect(judgeSpeaker(bound, { site: 's', epoch: 1, ...by('i1') }, {}, undefined, 9_999)).toEqual({ kind: 'speaks' });
  });
});

describe('a token at a data directory', () => {
  const token = { id: 't2', epoch: 2, expiresAt: 1_000 };
  const rows: [string, Parameters<typeof decideEnrolment>[0], number, string][] = [
    ['never used', {}, 500, 'first'],
    ['in place, of this epoch', { epoch: 2 }, 500, 'in-place'],
    ['the next epoch', { epoch: 1, tokenId: 't1' }, 500, 'next-epoch'],
    ['the same token', { epoch: 2, tokenId: 't2' }, 2_000, 'already'],
    ['another token of this epoch', { epoch: 2, tokenId: 't1' }, 500, 'ENROLMENT_USED'],
    ['an older epoch', { epoch: 3, tokenId: 't3' }, 500, 'WRONG_EPOCH'],
    ['past its time', {}, 1_001, 'ENROLMENT_EXPIRED'],
  ];
  it.each(rows)('%s', (_case, known, now, expected) => {
    const decision = decideEnrolment(known, token, now);
    expect(decision.kind === 'refuse' ? decision.reason.code : decision.kind).toBe(expected);
  });
});

const keyset = (version: number, ...pems: string[]): Keyset => ({
  version,
  keys: pems.map((pem) => ({ id: `id-${pem}`, pem })),
  issuedAt: 0,
});

describe('control keys on offer', () => {
  const trusted = { version: 2, pems: ['a', 'b'] };
  const rows: [string, Keyset, boolean, string][] = [
    ['newer, signed', keyset(3, 'b'), true, 'adopt'],
    ['newer by far, signed', keyset(9, 'b'), true, 'adopt'],
    ['newer, signed by nobody who is trusted', keyset(3, 'b'), false, 'refuse'],
    ['the same', keyset(2, 'b', 'a'), true, 'keep'],
    ['the same version of other keys, signed', keyset(2, 'a', 'c'), true, 'refuse'],
    ['an older one, signed', keyset(1, 'a'), true, 'keep'],
  ];
  it.each(rows)('%s', (_case, offered, verified, expected) => {
    expect(decideKeyset(trusted, offered, verified).kind).toBe(expected);
  });
  it('a rotation waits for whoever does not know this very keyset, and for nobody who is left behind', () => {
    const latest = keyset(3, 'b');
    const sites = [
      { site: 'knows', keyset: { version: 3, keys: ['id-b'] } },
      { site: 'older', keyset: { version: 2, keys: ['id-a', 'id-b'] } },
      { site: 'silent' },
      { site: 'taken', keyset: { version: 3, keys: ['id-x'] } },
      { site: 'beyond', keyset: { version: 4, keys: ['id-b'] } },
    ];
    expect(sites.map((one) => judgeSiteKeys(one, latest))).toEqual(['knows', 'behind', 'behind', 'foreign', 'foreign']);
    expect(missingSites(sites, latest, new Set(['silent', 'taken']))).toEqual(['older', 'beyond']);
  });
});

describe('a keyset to come', () => {
  it('reaches the sites that trust a key of the one before it, and no other', () => {
    const latest = keyset(3, 'b');
    const sites = [
      { site: 'knows', keyset: { version: 3, keys: ['id-b'] } },
      { site: 'older, both', keyset: { version: 2, keys: ['id-a', 'id-b'] } },
      { site: 'pins it', keyset: { version: 0, keys: ['id-b'] } },
      { site: 'left behind', keyset: { version: 1, keys: ['id-a'] } },
      { site: 'silent' },
      { site: 'taken', keyset: { version: 9, keys: ['id-b'] } },
    ];
    expect(strandedSites(sites, latest, new Set())).toEqual(['left behind', 'silent', 'taken']);
    expect(strandedSites(sites, latest, new Set(['silent', 'taken']))).toEqual(['left behind']);
  });
  it('is above everything that the registry, the depot and the sites have, whatever nonsense one of them reports', () => {
    expect(nextVersion([0, 0], [])).toBe(1);
    expect(nextVersion([0, 5], [3, 0])).toBe(6);
    expect(nextVersion([1, 0], [5])).toBe(6);
    expect(nextVersion([1, 2], [Number.MAX_SAFE_INTEGER, Number.NaN])).toBe(3);
  });
  it('leaves the keys before it believed, unless one was given up in haste', () => {
    expect(vouchingKeys([['c'], ['b', 'c'], ['b'], ['a', 'b'], ['a']])).toEqual(['c', 'b', 'a']);
    expect(vouchingKeys([['c'], ['b', 'c'], ['b'], ['a']])).toEqual(['c', 'b']);
    expect(vouchingKeys([['a']])).toEqual(['a']);
    expect(vouchingKeys([])).toEqual([]);
  });
});

describe('an id means one site for ever', () => {
  const site = (id: string, state: Site['state'] = 'active') => ({ id, state }) as Site;
  const fleet = (...sites: Site[]): ResolvedFleet => ({ digest: 'd', sites });
  const none = { retired: new Map<string, string>(), ever: new Set<string>(), returned: new Set<string>() };
  const judge = (sites: Site[], known: Partial<Parameters<typeof judgeImport>[1]>) =>
    judgeImport(sites, { ...none, ...known }).map((line) => line.split(':')[0]);

  it('refuses a retired id that is active, and takes one that is written as retired or gone', () => {
    const retired = new Map([['b', 'x: sold']]);
    const before = fleet(site('a'), site('b'));
    expect(judge([site('a'), site('b')], { retired, before })).toEqual(['b']);
    expect(judge([site('a'), site('b', 'maintenance')], { retired, before })).toEqual(['b']);
    expect(judge([site('a'), site('b', 'retired')], { retired, before })).toEqual([]);
    expect(judge([site('a')], { retired, before })).toEqual([]);
    expect(judge([site('a'), site('b')], { before: fleet(site('a'), site('b', 'retired')) })).toEqual(['b']);
  });
  it('refuses an id that was gone and is back, unless a person says that it is the same site', () => {
    const known = { before: fleet(site('a')), ever: new Set(['a', 'b']) };
    expect(judge([site('a'), site('b'), site('c')], known)).toEqual(['b']);
    expect(judge([site('a'), site('b')], { ...known, returned: new Set(['b']) })).toEqual([]);
  });
  it('refuses to leave out a site that was never retired', () => {
    expect(judge([site('a')], { before: fleet(site('a'), site('b')) })).toEqual(['b']);
  });
  it('what was retired at the centre is retired, whatever the file says; nothing else is touched', () => {
    const written = fleet(site('a'), site('b'));
    expect(withRetired(written, new Set())).toBe(written);
    expect(withRetired(written, new Set(['b'])).sites).toEqual([site('a'), site('b', 'retired')]);
    expect(written.sites[1]?.state).toBe('active');
  });
});
