import { describe, expect, it } from 'vitest';
import { compileCondition, MAX_CONDITION_LENGTH } from '../../../policies/gate/condition.js';

const holds = (text: string, result: number) => compileCondition(text).evaluate(result);

describe('compileCondition', () => {
  it.each([
    ['result < 0.01', 0.009, true],
    ['result < 0.01', 0.01, false],
    ['result < 1', 0.5, true],
    ['result == 0', 0, true],
    ['result >= 0.2 && result <= 0.8', 0.5, true],
    ['result >= 0.2 && result <= 0.8', 0.9, false],
    ['result * 100.0 < 5.0', 0.04, true],
    ['!(result > 3)', 3, true],
    ['result in [1.0, 2.0]', 2, true],
    ['int(result) % 2 == 0', 4, true],
    ['result < 0 ? false : result < 10', -1, false],
  ])('[A31] %s with %d is %s', (text, result, expected) => {
    expect(holds(text, result)).toEqual({ kind: 'answer', holds: expected });
  });

  it.each([
    ['', 'found end of input'],
    ['result <', 'expecting'],
    ['result', 'the answer is a number'],
    ['"yes"', 'never looks at'],
    ['true', 'never looks at'],
    ['1 < 2', 'never looks at'],
    ['resutl < 1', 'names `resutl`'],
    ['resutl < 1 || result < 2', 'names `resutl`'],
    ['result[0] < 1', 'uses `_[_]`'],
    ['result.value < 1', 'more than arithmetic'],
    ['has(result.x) || result > 0', 'more than arithmetic'],
    ['[1, 2].all(x, x < result)', 'more than arithmetic'],
    ['string(result).matches("(a+)+$")', 'uses `matches`'],
    ['result * 100 < 5', 'multiply it by 100.0'],
    ['isNaN(result)', 'uses `isNaN`'],
  ])('refuses %j before anything is measured', (text, why) => {
    expect(() => compileCondition(text)).toThrow(expect.objectContaining({ code: 'STRATEGY_INVALID' }));
    expect(() => compileCondition(text)).toThrow(why);
  });

  it('refuses what is absurdly long or deep, at once', () => {
    const long = `result < 1${' '.repeat(MAX_CONDITION_LENGTH)}`;
    expect(() => compileCondition(long)).toThrow('at most 500');
    const deep = `${'('.repeat(200)}result < 1${')'.repeat(200)}`;
    const began = performance.now();
    compileCondition(deep);
    expect(performance.now() - began).toBeLessThan(1_000);
  });

  it('[peers: Kayenta, a classification that throws is counted nowhere] an evaluation error is an error', () => {
    expect(holds('int(result) < 5', 1e300)).toMatchObject({ kind: 'error' });
    expect(holds('10 / int(result) < 5', 0)).toMatchObject({ kind: 'error' });
  });

  it('an answer that is no boolean is an error, even if only some values give one', () => {
    expect(holds('result > 5 ? 1 : result < 3', 6)).toMatchObject({ kind: 'error' });
    expect(holds('result > 5 ? 1 : result < 3', 2)).toEqual({ kind: 'answer', holds: true });
  });
});
