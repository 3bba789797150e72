// @ts-check
/** Counting what vitest says that it ran: the closing line of the checks is worth no more than this. */

/** @typedef {{ passed: number, failed: number }} Tally */
/** @typedef {{ numPassedTests?: number, numFailedTests?: number, testResults?: { status?: string, assertionResults?: { status: string }[] }[] }} Report */

/**
 * Counts one run. A file that could not be loaded holds no test, and an error outside of every test fails none: each counts as
 * one failed, so that neither is lost.
 * @param {string} report vitest's JSON report; empty when there is none
 * @param {boolean} exitedWell
 * @returns {Tally}
 */
export function countTests(report, exitedWell) {
  const { numPassedTests: passed = 0, numFailedTests = 0, testResults = [] } = parse(report);
  const unloaded = testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults?.some((each) => each.status === 'failed'),
  );
  const failed = numFailedTests + unloaded.length;
  return { passed, failed: failed === 0 && !exitedWell ? 1 : failed };
}

/** @param {string} report @returns {Report} */
function parse(report) {
  try {
    return /** @type {Report} */ (JSON.parse(report));
  } catch {
    // vitest writes no report when it is killed; that run counts as failed below.
    return {};
  }
}
