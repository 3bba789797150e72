/** What follows a wave: only one combination promotes. */
import { describe, expect, it } from 'vitest';
import { decideAfterWave, stagesToRevert } from '../../../policies/rollout/decide.js';
import type { BudgetVerdict } from '../../../policies/rollout/budget.js';
import type { GateVerdict, VerdictWord } from '../../../policies/model/verdict.js';

const budget = (verdict: VerdictWord, confirmed = 1): BudgetVerdict => ({
  verdict,
  count: { confirmed: Array.from({ length: confirmed }, (_, i) => `s${i}`), failed: [], owed: [] },
  limits: { failed: 0, owed: 0 },
  ...(verdict === 'pass' ? {} : { reason: { code: verdict === 'fail' ? 'BUDGET_FAILED' : 'BUDGET_OWED', detail: '' } }),
});
const gate = (verdict: VerdictWord): GateVerdict => ({
  verdict,
  reason: { code: 'GATE_NO_DATA', detail: '' },
  metrics: [],
});

describe('decideAfterWave', () => {
  const rows: [BudgetVerdict, GateVerdict | 'none' | 'not judged', string][] = [
    [budget('pass'), gate('pass'), 'promote'],
    [budget('pass'), 'none', 'promote'],
    [budget('pass'), gate('inconclusive'), 'wait'],
    [budget('pass'), 'not judged', 'wait'],
    [budget('pass'), gate('fail'), 'fail'],
    [budget('pass', 0), gate('pass'), 'wait'],
    [budget('pass', 0), 'none', 'wait'],
    [budget('inconclusive'), gate('pass'), 'wait'],
    [budget('inconclusive'), gate('fail'), 'fail'],
    [budget('inconclusive', 0), 'none', 'wait'],
    [budget('fail'), gate('pass'), 'fail'],
    [budget('fail'), 'not judged', 'fail'],
    [budget('fail', 0), 'none', 'fail'],
  ];
  it.each(rows)('row %#', (b, g, kind) => {
    expect(decideAfterWave(b, g, 'revert-stage').kind).toBe(kind);
  });

  it('of all combinations exactly those with a passed budget, a confirmed site and a passed gate (or none) promote', () => {
    const words: VerdictWord[] = ['pass', 'fail', 'inconclusive'];
    const gates = [...words.map(gate), 'none' as const, 'not judged' as const];
    const promoted = words.flatMap((b) =>
      [0, 1].flatMap((n) =>
        gates
          .filter((g) => decideAfterWave(budget(b, n), g, 'stay').kind === 'promote')
          .map((g) => [b, n, g === 'none' ? g : 'gate']),
      ),
    );
    expect(promoted).toEqual([
      ['pass', 1, 'gate'],
      ['pass', 1, 'none'],
    ]);
  });
});

describe('stagesToRevert', () => {
  it('covers the current stage, or all begun', () => {
    expect(stagesToRevert('revert-stage', 'b', ['a', 'b'])).toEqual(['b']);
    expect(stagesToRevert('revert-all', 'b', ['a', 'b'])).toEqual(['a', 'b']);
  });
});
