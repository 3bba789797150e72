/** What the Temporal UI tells a person to type: exactly what the rollout would obey in that moment. */
import { expect, it } from 'vitest';
import type { PlanOutline } from '../../policies/model/outline.js';
import type { ReasonCode } from '../../policies/model/reasons.js';
import type { SiteOutcome } from '../../policies/model/rollout.js';
import { offeredVerbs, refusalOf } from '../../workflows/rollout-refusals.js';
import { openRolloutRun, setStage, type RolloutRun } from '../../workflows/rollout-run.js';

const OUTLINE: PlanOutline = {
  planDigest: `sha256:${'2'.repeat(64)}`,
  label: 'edge-proxy-1.0.0-1',
  generation: 1,
  release: { stream: 'edge-proxy', version: '1.0.0', digest: `sha256:${'1'.repeat(64)}` },
  strategy: { name: 'wide', owner: 'duty', onFailure: 'stay', onInconclusive: { within: 60_000, then: 'stay' } },
  links: {},
  stages: [
    {
      name: 'all',
      soak: 0,
      gate: { name: 'none', metrics: [] },
      concurrency: 2,
      settleWithin: 'link',
      budget: { failed: 0, owed: '100%' },
      waves: [{ sites: ['a', 'b'].map((id) => ({ id, link: 'fibre', queue: `site-${id}` })) }],
    },
  ],
};

function runWith(outcomes: SiteOutcome['outcome'][], changes: Partial<RolloutRun>): RolloutRun {
  const identity = { workflowId: 'rollout/1', firstRunId: 'f', runId: 'f', continuation: 0 };
  const run = openRolloutRun({ release: 'edge-proxy@1.0.0', strategy: 'wide' }, identity, null, 0);
  for (const [at, outcome] of outcomes.entries()) {
    const site = 'ab'[at] ?? '';
    run.outcomes.set(site, { site, outcome, stage: 'all', wave: 0 });
  }
  Object.assign(run, { outline: OUTLINE, state: 'running', ...changes });
  setStage(run, 'all', { wave: 1, state: 'running' });
  return run;
}

function waiting(code: ReasonCode, changes: Partial<RolloutRun> = {}): Partial<RolloutRun> {
  const wait = { reason: { code, detail: '' }, owner: 'duty', since: 0, then: 'stay' as const };
  return { state: 'waiting', wait, mayRetry: true, ...changes };
}

const STOP = ['abort', 'revert'];
const REVERTING = { verb: 'revert', by: 'x', reason: 'y' } as const;

it.each<[string, RolloutRun, string[]]>([
  ['it runs', runWith(['confirmed'], {}), ['pause', ...STOP]],
  ['it is paused', runWith(['confirmed'], { paused: true }), ['resume', ...STOP]],
  [
    'it waits, and no site can be tried again',
    runWith(['confirmed'], waiting('WAVE_HELD')),
    ['promote', 'pause', ...STOP],
  ],
  [
    'it waits for absent sites',
    runWith(['confirmed', 'owed'], waiting('BUDGET_OWED')),
    ['promote', 'retry', 'pause', ...STOP],
  ],
  [
    'it waits before any wave',
    runWith(['owed'], waiting('WAVE_HELD', { mayRetry: false })),
    ['promote', 'pause', ...STOP],
  ],
  ['another rollout has the stream', runWith(['owed'], waiting('LOCK_LOST', { mayRetry: false })), ['pause', ...STOP]],
  [
    'a retry was just taken',
    runWith(['owed'], waiting('BUDGET_OWED', { retry: { payload: { by: 'x', reason: 'y' }, sites: ['a'] } })),
    ['retry', 'pause', ...STOP],
  ],
  ['no site has confirmed', runWith(['owed'], waiting('NO_CONFIRMED_SITE')), ['retry', 'pause', ...STOP]],
  [
    'it is halted by its gate',
    runWith(['confirmed'], waiting('GATE_FAILED', { outcome: 'halted' })),
    ['promote --override', 'pause', ...STOP],
  ],
  [
    'a site fails in a wait that stands still',
    runWith(['confirmed', 'rejected'], waiting('GATE_NO_DATA', { paused: true })),
    ['promote --override', 'retry', 'resume', ...STOP],
  ],
  ['a stage is being undone', runWith(['rejected'], { state: 'reverting' }), ['revert']],
  ['a revert was taken and has not begun', runWith(['confirmed'], { stop: REVERTING }), []],
  ['everything is being undone', runWith(['rejected'], { state: 'reverting', stop: REVERTING }), []],
  ['it is sealed', runWith(['confirmed'], { state: 'sealed', outcome: 'promoted' }), []],
])('where %s', (_, run, expected) => {
  expect(offeredVerbs(run)).toEqual(expected);
});

it('an override is offered where a plain promote is refused, and nowhere else', () => {
  const run = runWith(['confirmed', 'rejected'], waiting('BUDGET_FAILED', { outcome: 'halted' }));
  const by = { by: 'tester', reason: 'looked at it' };
  expect(refusalOf(run, 'promote', by)).toBeDefined();
  expect(refusalOf(run, 'promote', { ...by, override: true })).toBeUndefined();
});

it('a supersede that does not say whom the new plan leaves out may leave out all that were commanded', () => {
  const run = runWith(['confirmed', 'reverted'], {});
  for (const site of ['a', 'b']) run.commanded.set(site, { site, switchBy: 0 });
  const by = { by: 'tester', reason: 'takes over' };
  expect(refusalOf(run, 'supersede', by)).toMatchObject({
    code: 'SUPERSEDE_TOO_NARROW',
    why: expect.stringContaining('plan: a') as string,
  });
  expect(refusalOf(run, 'supersede', { ...by, leftOut: ['b'] })).toBeUndefined();
  expect(refusalOf(run, 'supersede', { ...by, leftOut: ['a'] })).toBeDefined();
});
