/** Which sites are owed, and why one is left out. */
import { describe, expect, it } from 'vitest';
import { differing, judgeFleet, type FleetFacts } from '../../../policies/catch-up/owed.js';
import type { ReleaseFacts } from '../../../policies/catch-up/hindered.js';
import type { Site } from '../../../policies/model/fleet.js';
import type { SiteReport } from '../../../policies/model/report.js';
import {
  convergeOf,
  desiredOf,
  digestOf,
  fleetFacts,
  release,
  reported,
  reportOf,
  revertOwed,
  siteOf,
  STREAM,
} from './fleet-facts.js';

/** One site that runs 1.0.0 and should run 2.0.0. */
function behind(change: Partial<FleetFacts> = {}, site: Partial<Site> = {}, report: Partial<SiteReport> = {}) {
  const known = { report: reportOf('a', reported('1.0.0', 9), report), receivedAt: 900_000 };
  return fleetFacts({
    sites: [siteOf('a', site)],
    desired: new Map([['a', desiredOf('a', '2.0.0', 11)]]),
    reports: new Map([['a', known]]),
    ...change,
  });
}

const only = (facts: FleetFacts) => judgeFleet(facts).owed[0];
const releases = (change: Partial<ReleaseFacts>) =>
  new Map([[digestOf('2.0.0'), { allowances: [], planned: true, ...change }]]);

describe('owed', () => {
  it('[A19] names the site, what it is owed, and nothing in its way', () => {
    expect(only(behind())).toEqual({
      site: 'a',
      of: 'run-2.0.0',
      release: release('2.0.0'),
      kind: 'absent',
      heardAt: 900_000,
      tries: 0,
    });
  });

  it('passes over sites that run what they should, that do not list the stream, and retired ones', () => {
    const same = new Map([['a', { report: reportOf('a', reported('2.0.0', 11)), receivedAt: 1 }]]);
    expect(judgeFleet(behind({ reports: same })).owed).toEqual([]);
    expect(judgeFleet(behind({}, { streams: ['psk'] })).owed).toEqual([]);
    expect(judgeFleet(behind({}, { state: 'retired' })).owed).toEqual([]);
    expect(judgeFleet(behind({ desired: new Map() })).owed).toEqual([]);
  });

  it.each([
    ['MAINTENANCE', behind({}, { state: 'maintenance' })],
    ['OWED_REVERT', behind({ debts: [revertOwed('a', `${STREAM}-0.9.0-1`)] })],
    ['NOT_REPORTED', behind({ reports: new Map() })],
    [
      'AGENT_BUSY',
      behind({
        reports: new Map([
          ['a', { report: reportOf('a', reported('1.0.0', 9, { state: 'watching' })), receivedAt: 900_000 }],
        ]),
      }),
    ],
    ['PLAN_LOST', behind({ releases: releases({ planned: false }) })],
    ['PLAN_LOST', behind({ releases: new Map() })],
    ['BLOCKED', behind({ releases: releases({ blocked: { rollout: 'x', at: 1 } }) })],
    [
      'CATCH_UP_STOPPED',
      behind({ releases: releases({ stopped: { rollout: 'x', reason: { code: 'ABORTED', detail: 'by kim' } } }) }),
    ],
    [
      'QUARANTINED',
      behind({}, {}, { quarantined: [{ stream: STREAM, ...release('2.0.0'), code: 'CHECK_FAILED', at: 5 }] }),
    ],
    ['FROZEN', behind({ freezes: [{ id: 'freeze-1', until: 2_000_000, by: 'kim', reason: 'storm', at: 1 }] })],
    ['HELD', behind({ holds: [{ id: 'hold-1', site: 'a', by: 'kim', reason: 'mast', at: 1 }] })],
    ['HELD', behind({}, {}, { holds: [{ by: 'kim', reason: 'mast', at: 1, endsIn: 1_000_000 }] })],
    ['OBSERVING', behind({}, {}, { observing: true })],
    ['UNREACHED', behind({ commanded: new Map([['a', [convergeOf('a', '2.0.0', 11, { scheduledAt: 950_000 })]]]) })],
  ])('[A19] leaves out with the reason: %s', (code, facts) => {
    expect(only(facts)?.hindered).toMatchObject({ code });
  });

  it('heeds only the freeze that selects the site, and only while it is in force', () => {
    const freeze = { id: 'freeze-1', by: 'kim', reason: 'storm', at: 1 };
    const lifted = { at: 2, by: 'kim', reason: 'over' };
    const free = [
      { ...freeze, until: 999_999 },
      { ...freeze, until: 2_000_000, lifted },
      { ...freeze, until: 2_000_000, only: { risk: 'high' } },
    ];
    expect(only(behind({ freezes: free }))?.hindered).toBeUndefined();
    const both = [
      { ...freeze, until: 2_000_000, only: { risk: 'low' } },
      { ...freeze, until: 3_000_000 },
    ];
    expect(only(behind({ freezes: both }))?.hindered).toMatchObject({ code: 'FROZEN', until: 3_000_000 });
  });

  it('lifts a quarantine, a stop and a failure with what a person allowed, there alone or everywhere', () => {
    const quarantined = [{ stream: STREAM, ...release('2.0.0'), code: 'CHECK_FAILED', at: 5 }];
    for (const site of ['a', '*']) {
      const facts = behind({ releases: releases({ allowances: [{ site, at: 6 }] }) }, {}, { quarantined });
      expect(only(facts)?.hindered).toBeUndefined();
    }
    const elsewhere = behind({ releases: releases({ allowances: [{ site: 'b', at: 6 }] }) }, {}, { quarantined });
    expect(only(elsewhere)?.hindered).toMatchObject({ code: 'QUARANTINED' });
  });

  it('does not try a site again that failed, until a person allows it', () => {
    const reason = { code: 'STAGE_FAILED' as const, detail: 'no space' };
    const outcome = { site: 'a', outcome: 'rejected' as const, stage: 'all', wave: 0, reason };
    const commanded = new Map([['a', [convergeOf('a', '2.0.0', 11, { scheduledAt: 800_000, outcome })]]]);
    expect(only(behind({ commanded }))?.hindered).toMatchObject({ code: 'CATCH_UP_FAILED' });
    const allowed = releases({ allowances: [{ site: 'a', at: 850_000 }] });
    expect(only(behind({ commanded, releases: allowed }))?.hindered).toBeUndefined();
  });

  it('waits longer after each try that led nowhere, and for a person after too many', () => {
    const sick = { code: 'ALREADY_SICK' as const, detail: '' };
    const outcome = { site: 'a', outcome: 'rejected' as const, stage: 'all', wave: 0, reason: sick };
    const tried = (...at: number[]) =>
      new Map([['a', at.map((scheduledAt) => convergeOf('a', '2.0.0', 13, { scheduledAt, outcome }))]]);
    const now = 1_000_000;
    expect(only(behind({ now, commanded: tried(890_000) }))?.hindered).toBeUndefined();
    expect(only(behind({ now, commanded: tried(880_000, 890_000) }))?.hindered).toMatchObject({
      code: 'CATCH_UP_WAITS',
      until: 890_000 + 120_000,
    });
    const often = Array.from({ length: 10 }, (_, index) => 10_000 + index);
    expect(only(behind({ now, commanded: tried(...often) }))?.hindered).toMatchObject({ code: 'CATCH_UP_FAILED' });
  });

  it('[A46] hands what is ahead to be taken over, and owes it nothing', () => {
    const ahead = new Map([['a', { report: reportOf('a', reported('3.0.0', 15)), receivedAt: 1 }]]);
    const facts = behind({ reports: ahead });
    expect(judgeFleet(facts)).toEqual({ owed: [], ahead: [{ site: 'a', live: release('3.0.0'), generation: 15 }] });
    expect(differing(facts)).toEqual(['a']);
  });

  it('tells new sites and drifted ones from those that were away', () => {
    const nothing = new Map([['a', { report: reportOf('a', undefined), receivedAt: 1 }]]);
    expect(only(behind({ reports: nothing }))).toMatchObject({ kind: 'new' });
    const outcome = { site: 'a', outcome: 'confirmed' as const, stage: 'all', wave: 0 };
    const reached = new Map([['a', [convergeOf('a', '2.0.0', 11, { outcome })]]]);
    expect(only(behind({ commanded: reached }))).toMatchObject({ kind: 'drifted' });
  });
});
