/** The closing line of the checks counts what ran, and nothing that went wrong is lost in it. */
import { describe, expect, it } from 'vitest';
import { countTests } from '../../../infra/setup/tally.mjs';

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
