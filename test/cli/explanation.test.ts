/** Every state, wait, way in which a site can stand, and debt: each has a why, what would unblock it, who can, and what is typed. */
import { describe, expect, test } from 'vitest';
import { explainDebt } from '../../cli/explanation/debts.js';
import { ADVICE } from '../../cli/explanation/advice.js';
import type { Explanation } from '../../cli/explanation/explanation.js';
import { explainRolloutState } from '../../cli/explanation/rollouts.js';
import { explainSiteOutcome, explainSiteState } from '../../cli/explanation/sites.js';
import { headline } from '../../cli/render/headline.js';
import { plain } from '../../cli/render/paint.js';
import { runProgram } from '../../cli/program.js';
import { SITE_STATES, type Cause, type Verb } from '../../policies/model/command.js';
import { CATCH_UP, type Debt } from '../../policies/model/debt.js';
import { REASON_CODES, REASONS, type ReasonCode } from '../../policies/model/reasons.js';
import type { RolloutOutcome, RolloutState, RolloutStatus, SiteOutcomeWord } from '../../policies/model/rollout.js';
import { emptyDirectory, ioAt } from './operator.js';

const NOW = Date.parse('2026-11-22T03:00:00Z');
/** A word that a union has and its table has not does not compile: what nobody listed would go unexplained. */
const wordsOf = <Word extends string>(table: Record<Word, 1>): Word[] => Object.keys(table) as Word[];

const STATES = wordsOf<RolloutState>({
  ...{ planning: 1, preflight: 1, prefetching: 1, running: 1, gating: 1 },
  ...{ waiting: 1, paused: 1, reverting: 1, sealed: 1 },
});
const OUTCOMES = wordsOf<RolloutOutcome>({
  ...{ promoted: 1, reverted: 1, aborted: 1 },
  ...{ refused: 1, halted: 1, terminated: 1 },
});
const WORDS = wordsOf<SiteOutcomeWord>({
  ...{ confirmed: 1, reverted: 1, rejected: 1, superseded: 1, 'safe-mode': 1 },
  ...{ owed: 1, deferred: 1, untouched: 1 },
});
const CAUSES = wordsOf<Cause>({ check: 1, deadline: 1, boot: 1, person: 1, command: 1, switch: 1, uplink: 1 });

/** What stops a command line, or this machine: never the reason of a rollout, a site or a debt. */
const OF_COMMANDS: readonly string[] = REASON_CODES.slice(REASON_CODES.indexOf('PROGRAM_MISSING'));

function rollout(changes: Partial<RolloutStatus> = {}): RolloutStatus {
  return {
    label: 'edge-proxy-2.4.0-3',
    workflowId: 'rollout/x',
    firstRunId: 'run-1',
    stream: 'edge-proxy',
    release: { version: '2.4.0', digest: 'sha256:0' },
    strategy: 'careful',
    planDigest: 'sha256:1',
    generation: 7,
    state: 'running',
    stages: [
      { name: 'regions.nordic', sites: 20, wave: 2, waves: 3, confirmed: 14, failed: 1, owed: 2, state: 'running' },
    ],
    startedAt: NOW - 60_000,
    updatedAt: NOW,
    owedReverts: ['osl-07'],
    ...changes,
  };
}

const typed = new Set<string>();
function judge(explained: Explanation): void {
  expect(explained.code).toMatch(/^[A-Z_]+$/);
  expect(explained.meaning).toBe(REASONS[explained.code]);
  expect(explained.detail).not.toBe('');
  expect(explained.playbook).toBe(`docs/playbooks/${explained.code}.md`);
  expect(explained.unblocks).not.toBe('');
  expect(explained.who).not.toBe('');
  expect(explained.next.length).toBeGreaterThan(0);
  for (const command of explained.next) {
    expect(command).toMatch(/^foothold [a-z]/);
    expect(command).not.toMatch(/undefined| {2}/);
    typed.add(command);
  }
}

describe('[A43] the state of a rollout is explained', () => {
  const waits: RolloutStatus['wait'][] = REASON_CODES.map((code) => ({
    reason: { code, detail: '3 of 20 sites' },
    owner: 'grid-duty',
    since: NOW,
    until: NOW + 60_000,
    then: 'stay',
  }));

  test.each(STATES.filter((state) => state !== 'sealed'))('%s, with and without a reason', (state) => {
    judge(explainRolloutState(rollout({ state })));
    judge(explainRolloutState(rollout({ state, reason: { code: 'CHECK_FAILED', detail: '2 of 20 sites' } })));
  });

  test('moving: with the numbers of where it is', () => {
    expect(explainRolloutState(rollout()).detail).toBe(
      'stage regions.nordic wave 2 of 3: 14 of 20 sites confirmed, 1 failed, 2 owed',
    );
  });

  test('waiting for any reason: the numbers of that reason, its owner, and a decision to type', () => {
    for (const wait of waits) {
      const explained = explainRolloutState(rollout({ state: 'waiting', wait: wait! }));
      judge(explained);
      expect(explained).toMatchObject({ code: wait!.reason.code, detail: '3 of 20 sites' });
      expect(explained.who).toMatch(/^grid-duty; /);
      const refused = wait!.reason.code === 'NO_CONFIRMED_SITE';
      expect(explained.next.some((command) => command.startsWith('foothold promote '))).toBe(!refused);
      if (!refused) expect(explained.next).toContain('foothold promote edge-proxy-2.4.0-3 --reason …');
    }
  });

  test('[A43] a cohort without a confirmed site is tried again, and never told to be promoted', () => {
    const reason = { code: 'NO_CONFIRMED_SITE' as const, detail: 'none' };
    for (const outcome of [undefined, 'halted' as const]) {
      const halted = outcome === undefined ? {} : { outcome };
      const wait = { reason, owner: 'grid-duty', since: NOW, then: 'stay' as const };
      const { next } = explainRolloutState(rollout({ state: 'waiting', reason, wait, ...halted }));
      expect(next[0]).toBe('foothold retry edge-proxy-2.4.0-3 --reason …');
      expect(next.join('\n')).not.toContain('promote');
    }
  });

  test('halted: promoting needs an override', () => {
    const explained = explainRolloutState(
      rollout({ state: 'waiting', outcome: 'halted', reason: { code: 'WAIT_EXPIRED', detail: 'GATE_NO_DATA' } }),
    );
    judge(explained);
    expect(explained.next).toContain('foothold promote edge-proxy-2.4.0-3 --override --reason …');
  });

  test.each(OUTCOMES)('sealed as %s, for any reason and for none', (outcome) => {
    judge(explainRolloutState(rollout({ state: 'sealed', outcome })));
    for (const code of REASON_CODES) {
      judge(explainRolloutState(rollout({ state: 'sealed', outcome, reason: { code, detail: '6 % of 20 sites' } })));
    }
  });

  test('while files travel: until when, and that promote begins now', () => {
    const travelling = rollout({ state: 'prefetching', prefetch: { since: NOW, until: NOW + 3_600_000 } });
    expect(headline(travelling, { now: NOW, paint: plain, zone: 'utc' })).toBe(
      'PREFETCHING until 04:00 · edge-proxy 2.4.0: files travel to 20 sites · no site has been changed; promote begins now · next: foothold watch edge-proxy-2.4.0-3',
    );
    const explained = explainRolloutState(travelling);
    expect(explained.detail).toContain('until 2026-11-22T04:00:00.000Z');
    expect(explained.next).toContain('foothold promote edge-proxy-2.4.0-3 --reason …');
  });

  test('the first line of status names it for every state and outcome', () => {
    const view = { now: NOW, paint: plain, zone: 'utc' };
    for (const state of STATES.filter((one) => one !== 'sealed')) {
      expect(headline(rollout({ state }), view)).toMatch(/^[A-Z ]+\d*.* · next: foothold /);
    }
    for (const outcome of OUTCOMES) {
      const line = headline(rollout({ state: 'sealed', outcome, owedReverts: [] }), view);
      expect(line).toMatch(outcome === 'promoted' ? /^PROMOTED · / : /^[A-Z]+ · .*next: foothold explain /);
    }
  });
});

const OF = {
  ...{ stream: 'edge-proxy', version: '2.4.0', label: 'edge-proxy-2.4.0-3', strategy: 'careful' },
  stands: 'open' as const,
};

describe('[A43] a site of a rollout is explained', () => {
  test.each(WORDS)('%s, by any cause, in any state, for any reason and for none', (outcome) => {
    const at = { site: 'osl-01', outcome, stage: 'canary', wave: 0 };
    judge(explainSiteOutcome(at, OF));
    for (const cause of CAUSES) judge(explainSiteOutcome({ ...at, cause }, OF));
    for (const state of [null, ...SITE_STATES]) judge(explainSiteOutcome({ ...at, state }, OF));
    for (const code of REASON_CODES) judge(explainSiteOutcome({ ...at, reason: { code, detail: 'twice' } }, OF));
  });

  test('an owed site whose command never arrived is not one that was heard of', () => {
    const owed = { site: 'osl-01', outcome: 'owed' as const, stage: 'canary', wave: 0 };
    expect(explainSiteOutcome({ ...owed, state: null }, OF).code).toBe('UNREACHED');
    expect(explainSiteOutcome({ ...owed, state: 'watching' }, OF)).toMatchObject({
      code: 'NO_RESULT',
      detail: 'last seen watching',
    });
  });

  test('[A43] past its patience an owed site is brought by a retry while the rollout goes on, later by catch-up alone', () => {
    const owed = { site: 'osl-01', outcome: 'owed' as const, state: null, stage: 'canary', wave: 0 };
    const open = explainSiteOutcome(owed, OF);
    expect(open.next[0]).toBe('foothold retry edge-proxy-2.4.0-3 osl-01 --reason …');
    expect(open.unblocks).toMatch(/a person trying again/);
    expect(`${open.unblocks} ${open.who}`).not.toMatch(/delivered|nobody has to/);
    const promoted = explainSiteOutcome(owed, { ...OF, stands: 'promoted' });
    expect(promoted.unblocks).toMatch(/catch-up brings it/);
    expect(promoted.next.join()).not.toContain('retry');
    expect(explainSiteOutcome(owed, { ...OF, stands: 'aborted' }).unblocks).toMatch(/a new rollout/);
  });

  test('where a release failed, the quarantine is lifted there and nowhere else', () => {
    const failed = { site: 'osl-01', outcome: 'reverted' as const, stage: 'canary', wave: 0 };
    expect(
      explainSiteOutcome({ ...failed, reason: { code: 'CHECK_FAILED', detail: '3 in a row' } }, OF).next,
    ).toContain('foothold allow edge-proxy@2.4.0 --site osl-01 --reason …');
  });

  test('every state of a stream has a line of its own', () => {
    const lines = [null, ...SITE_STATES].map(explainSiteState);
    expect(new Set(lines).size).toBe(lines.length);
  });
});

describe('[A43] a debt is explained', () => {
  const debt = (verb: Verb, owner: string, code: ReasonCode, more: Partial<Debt> = {}): Debt => ({
    site: 'osl-01',
    stream: 'edge-proxy',
    verb,
    firstRunId: 'run-1',
    workflowId: 'rollout/x',
    label: 'edge-proxy-2.4.0-3',
    release: { version: '2.4.0', digest: 'sha256:0' },
    planDigest: 'sha256:1',
    stage: 'canary',
    wave: 0,
    generation: 3,
    try: 1,
    owner,
    reason: { code, detail: 'never received' },
    since: NOW,
    ...more,
  });

  test.each<[Verb, string]>([
    ['converge', 'run-1'],
    ['converge', CATCH_UP],
    ['revert', 'run-1'],
    ['revert', CATCH_UP],
  ])('%s, owned by %s, for any reason', (verb, owner) => {
    for (const code of REASON_CODES) {
      judge(explainDebt(debt(verb, owner, code)));
      judge(explainDebt(debt(verb, owner, code, { until: NOW + 60_000 })));
    }
  });

  test('[A43] an owed converge of a rollout that goes on needs a person, one of catch-up nobody', () => {
    const code = 'UNREACHED';
    const retry = 'foothold retry edge-proxy-2.4.0-3 osl-01 --reason …';
    expect(explainDebt(debt('converge', 'run-1', code)).next[0]).toBe(retry);
    expect(explainDebt(debt('converge', 'run-1', code)).unblocks).toMatch(/a person trying again/);
    expect(explainDebt(debt('converge', CATCH_UP, code)).unblocks).toMatch(/catch-up brings it/);
  });

  test('[A43] an owed revert that the agent does not take in waits for what the agent objects to', () => {
    expect(explainDebt(debt('revert', CATCH_UP, 'SIGNATURE_INVALID')).unblocks).toMatch(/control key/);
    expect(explainDebt(debt('revert', CATCH_UP, 'WRONG_EPOCH')).unblocks).not.toMatch(/link/);
  });

  test('an owed revert waits for the link alone, whatever holds up a converge there', () => {
    expect(explainDebt(debt('revert', CATCH_UP, 'HELD')).unblocks).toMatch(
      /link coming back: owed reverts.*never expire/,
    );
    expect(explainDebt(debt('converge', CATCH_UP, 'HELD')).unblocks).toMatch(/^the end of the hold/);
  });
});

test('every code that can be a reason of a rollout or a site says itself what would unblock it', () => {
  const own = REASON_CODES.filter((code) => !OF_COMMANDS.includes(code) && !GENERAL.includes(code));
  expect(own.filter((code) => ADVICE[code] === undefined)).toEqual([]);
});

/** Where the state says all there is to say, or that are told of a check that passed. */
const GENERAL: readonly ReasonCode[] = [
  'GATE_PASSED',
  'GATE_NONE',
  'PAUSED',
  'IN_MOTION',
  'CONFIRMED',
  'NOT_RECORDED',
  'ABORTED',
  'REVERT_REQUESTED',
  'OVERRIDDEN',
  'BAD_PAYLOAD',
  'RELEASE_INVALID',
  'RELEASE_CONFLICT',
  'STRATEGY_INVALID',
  'FLEET_INVALID',
  'FILE_INVALID',
  'FILE_NOT_FOUND',
  'VERSION_DIFFERS',
  'QUEUE_NOT_SERVED',
  'LKG_ADOPTABLE',
  'PREFLIGHT_OK',
  'NOT_LIVE',
  'WRONG_SITE',
  'AGENT_RUNNING',
  'AGENT_NOT_RUNNING',
  'AGENT_BUSY',
  'NOT_COMMANDED',
];

test('[A43] every command that an explanation tells to type is one that this program understands', async () => {
  expect(typed.size).toBeGreaterThan(20);
  const directory = await emptyDirectory();
  for (const command of typed) {
    const words = command
      .replace(/^foothold /, '')
      .replaceAll('…', 'x')
      .split(' ');
    const { io, said } = ioAt(directory);
    await runProgram(words, io);
    // It fails for want of a project, a file or a server; the line itself was understood.
    expect([command, said.err]).toEqual([command, expect.not.stringMatching(/BAD_ARGUMENT|NOT_AVAILABLE|INTERNAL/)]);
  }
});
