/** The closing line of the checks counts what ran, and nothing that went wrong is lost in it. */
import { describe, expect, it } from 'vitest';
import { countTests, listFailures } from '../../../infra/setup/tally.mjs';

const report = (
  passed: number,
  failed: number,
  files: { status: string; assertionResults: { status: string }[] }[] = [],
): string => JSON.stringify({ numPassedTests: passed, numFailedTests: failed, testResults: files });

describe('the tally of a run', () => {
  it.each([
    ['counts what passed', report(3, 0), true, { passed: 3, failed: 0 }],
    [
      'counts what failed',
      report(2, 1, [{ status: 'failed', assertionResults: [{ status: 'failed' }] }]),
      false,
      { passed: 2, failed: 1 },
    ],
    [
      'counts a file that could not be loaded',
      report(2, 0, [{ status: 'failed', assertionResults: [] }]),
      false,
      { passed: 2, failed: 1 },
    ],
    ['counts an error outside of every test', report(2, 0), false, { passed: 2, failed: 1 }],
    ['counts a run without a report', '', false, { passed: 0, failed: 1 }],
    ['counts a run that was cut short', '{"numPassedTests": 3', false, { passed: 0, failed: 1 }],
  ])('%s', (_, text, exitedWell, expected) => {
    expect(countTests(text, exitedWell)).toEqual(expected);
  });
});

describe('the list of what failed', () => {
  const list = (testResults: object[]) => listFailures(JSON.stringify({ testResults }), '/somewhere');

  it('names file and test below the checkout, and says why in one line without colours', () => {
    const failureMessages = ['\x1b[31mAssertionError\x1b[39m: expected 1\n  to be 2'];
    const assertionResults = [
      { status: 'passed', fullName: 'holds' },
      { status: 'failed', fullName: 'a sum is right', failureMessages },
    ];
    const testResults = [{ name: '/somewhere/test/sum.test.ts', status: 'failed', assertionResults }];
    expect(listFailures(JSON.stringify({ testResults }), '/somewhere/')).toEqual(list(testResults));
    expect(list(testResults)).toEqual(['test/sum.test.ts > a sum is right\n    AssertionError: expected 1 to be 2']);
  });

  it('names a file that could not be loaded', () => {
    const unloaded = {
      name: '/somewhere/a.test.ts',
      status: 'failed',
      message: 'no such module',
      assertionResults: [],
    };
    expect(list([unloaded])).toEqual(['a.test.ts (not loaded)\n    no such module']);
  });

  it('lists nothing where nothing failed, or nothing is known', () => {
    expect(
      list([{ name: '/somewhere/a.test.ts', status: 'passed', assertionResults: [{ status: 'passed' }] }]),
    ).toEqual([]);
    expect(listFailures('', '/somewhere')).toEqual([]);
  });

  it('does not bury the closing line', () => {
    const assertionResults = Array.from({ length: 41 }, () => ({
      status: 'failed',
      fullName: 'x',
      failureMessages: ['y'],
    }));
    expect(list([{ name: '/somewhere/a.test.ts', status: 'failed', assertionResults }]).at(-1)).toBe('… and 1 more');
  });
});
