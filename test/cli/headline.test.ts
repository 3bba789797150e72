import { describe, expect, test } from 'vitest';
import { headline, type View } from '../../cli/render/headline.js';
import { problemSites, rolloutText, stageTable } from '../../cli/render/rollout.js';
import { plain } from '../../cli/render/paint.js';
import type { RolloutStatus, SiteOutcome, StageStatus } from '../../policies/model/rollout.js';

const at = (time: string): number => Date.parse(`2026-11-22T${time}:00Z`);
const view: View = { now: at('03:00'), paint: plain, zone: 'utc' };

function stage(name: string, changes: Partial<StageStatus> = {}): StageStatus {
  return { name, sites: 20, wave: 0, waves: 1, confirmed: 0, failed: 0, owed: 0, state: 'untouched', ...changes };
}

function rollout(changes: Partial<RolloutStatus> = {}): RolloutStatus {
  return {
    label: 'edge-proxy-2.4.0-3',
    workflowId: 'rollout/edge-proxy-2.4.0-x',
    firstRunId: 'run-1',
    stream: 'edge-proxy',
    release: { version: '2.4.0', digest: 'sha256:0' },
    strategy: 'careful',
    planDigest: 'sha256:1',
    generation: 7,
    state: 'running',
    stages: [
      stage('canary', { sites: 2, confirmed: 2, state: 'promoted' }),
      stage('regions.nordic', { waves: 3, wave: 2, confirmed: 14, owed: 1, state: 'running' }),
    ],
    startedAt: at('02:00'),
    updatedAt: at('02:59'),
    owedReverts: [],
    ...changes,
  };
}

const waiting = rollout({
  state: 'waiting',
  stages: [stage('canary', { state: 'promoted' }), stage('regions.nordic', { state: 'waiting' })],
  wait: {
    reason: { code: 'GATE_NO_DATA', detail: '3 of 20 sites' },
    owner: 'grid-duty',
    since: at('00:10'),
    until: at('04:10'),
    then: 'stay',
  },
});

describe('the first line of status', () => {
  test('[A49] a wait says who must act, by when, why, what happens otherwise, and the next command', () => {
    expect(headline(waiting, view)).toBe(
      'NEEDS YOU by 04:10 · stage regions.nordic waits: GATE_NO_DATA (3 of 20 sites) · at 04:10: stays · next: foothold explain edge-proxy-2.4.0-3',
    );
  });

  test('a deadline of another day carries its date', () => {
    const late = {
      ...waiting,
      wait: { ...waiting.wait!, until: Date.parse('2026-11-23T04:10:00Z'), then: 'revert-all' as const },
    };
    expect(headline(late, view)).toContain('NEEDS YOU by 23 Nov 04:10');
    expect(headline(late, view)).toContain('at 23 Nov 04:10: reverts everything');
  });

  test('in motion it says where, how far, and what cannot be had', () => {
    expect(headline(rollout(), view)).toBe(
      'RUNNING · stage regions.nordic wave 2 of 3 · 16 of 22 sites confirmed, 0 failed, 1 owed · next: foothold watch edge-proxy-2.4.0-3',
    );
  });

  test('a gate says until when', () => {
    const gating = rollout({ state: 'gating', stages: [stage('canary', { state: 'gating', soakUntil: at('03:10') })] });
    expect(headline(gating, view)).toMatch(/^GATING until 03:10 · stage canary/);
  });

  test('halted needs a person, and never claims a deadline', () => {
    const halted = rollout({
      state: 'waiting',
      outcome: 'halted',
      reason: { code: 'WAIT_EXPIRED', detail: 'GATE_NO_DATA' },
    });
    expect(headline(halted, view)).toMatch(/^NEEDS YOU · stage regions\.nordic halted: WAIT_EXPIRED \(GATE_NO_DATA\)/);
  });

  test('a sealed failure leads with the outcome and its reason; owed reverts stay in sight', () => {
    const reverted = rollout({
      state: 'sealed',
      outcome: 'reverted',
      reason: { code: 'GATE_FAILED', detail: 'error-ratio 0.06' },
      owedReverts: ['osl-07'],
    });
    expect(headline(reverted, view)).toMatch(/^REVERTED · GATE_FAILED \(error-ratio 0\.06\) · /);
    expect(headline(reverted, view)).toContain('1 site still owes a revert');
    expect(headline(rollout({ state: 'sealed', outcome: 'promoted' }), view)).toMatch(
      /^PROMOTED · 16 of 22 sites confirmed/,
    );
    expect(headline(rollout({ state: 'sealed', outcome: 'refused' }), view)).toContain('no site was touched');
  });

  test('what a site or a person wrote cannot steer the terminal', () => {
    const nasty = {
      ...waiting,
      wait: { ...waiting.wait!, reason: { code: 'GATE_NO_DATA' as const, detail: 'a\u001b[2Jb\nc' } },
    };
    expect(headline(nasty, view)).not.toMatch(/[\u001b\n]/);
    expect(headline(nasty, view)).toContain('a [2Jb c');
  });
});

describe('the rest of status', () => {
  const outcomes: SiteOutcome[] = [
    { site: 'a', outcome: 'confirmed', stage: 'canary', wave: 0 },
    { site: 'b', outcome: 'owed', stage: 'canary', wave: 0, state: null, reason: { code: 'UNREACHED', detail: '' } },
    {
      site: 'c',
      outcome: 'reverted',
      stage: 'canary',
      wave: 0,
      cause: 'check',
      at: at('02:30'),
      reason: { code: 'CHECK_FAILED', detail: 'answers' },
    },
    { site: 'd', outcome: 'untouched', stage: 'canary', wave: 0 },
    { site: 'e', outcome: 'reverted', stage: 'canary', wave: 0, cause: 'command' },
  ];

  test('sites that need a look: failed first, then owed; nothing that is well', () => {
    expect(problemSites(outcomes).map(({ site }) => site)).toEqual(['c', 'b', 'e']);
  });

  test('names the site, its reason and when it happened there', () => {
    const text = rolloutText(rollout(), outcomes, view);
    expect(text).toMatch(/c +canary\/1 +reverted +02:30 +check: CHECK_FAILED \(answers\)/);
    expect(text).toMatch(/b +canary\/1 +owed +UNREACHED command never received/);
  });

  test('shows ten and counts the others', () => {
    const many = Array.from({ length: 14 }, (_, i): SiteOutcome => ({
      site: `s-${i}`,
      outcome: 'owed',
      stage: 'x',
      wave: 0,
    }));
    expect(rolloutText(rollout(), many, view)).toContain('… and 4 more');
  });

  test('a stage is one row, with its gate', () => {
    const verdict = { verdict: 'fail' as const, reason: { code: 'GATE_FAILED' as const, detail: '0.06' }, metrics: [] };
    const text = stageTable([stage('canary', { sites: 2, wave: 1, confirmed: 2, state: 'gating', gate: verdict })]);
    expect(text).toMatch(/canary +gating +1\/1 +\[#{10}\] 2\/2 +0 +0 +fail GATE_FAILED \(0\.06\)/);
  });
});
