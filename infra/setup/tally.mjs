// @ts-check
/** Counting what vitest says that it ran: the closing line of the checks is worth no more than this. */

/** @typedef {{ passed: number, failed: number }} Tally */
/** @typedef {{ status: string, fullName?: string, failureMessages?: string[] }} Assertion */
/** @typedef {{ name?: string, status?: string, message?: string, assertionResults?: Assertion[] }} TestFile */
/** @typedef {{ numPassedTests?: number, numFailedTests?: number, testResults?: TestFile[] }} Report */

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

const MESSAGE_CHARACTERS = 600;
const LISTED_MOST = 40;

/**
 * What failed, two lines each: a log of which only the end is kept still names everything. Paths are below `root`.
 * @param {string} report @param {string} root
 * @returns {string[]}
 */
export function listFailures(report, root) {
  const folder = root.endsWith('/') ? root : `${root}/`;
  const found = (parse(report).testResults ?? []).flatMap(
    ({ name = '', status, message = '', assertionResults = [] }) => {
      const file = name.startsWith(folder) ? name.slice(folder.length) : name;
      const failed = assertionResults.filter((each) => each.status === 'failed');
      if (failed.length === 0) return status === 'failed' ? [describeFailure(`${file} (not loaded)`, message)] : [];
      return failed.map(({ fullName = '', failureMessages = [] }) =>
        describeFailure(`${file} > ${fullName}`, failureMessages.join(' | ')),
      );
    },
  );
  const more = found.length - LISTED_MOST;
  return more > 0 ? [...found.slice(0, LISTED_MOST), `… and ${more} more`] : found;
}

/** @param {string} where @param {string} why */
function describeFailure(where, why) {
  const plain = why.replaceAll(/\x1b\[[0-9;]*m/g, '').replaceAll(/\s+/g, ' ');
  return `${where}\n    ${plain.slice(0, MESSAGE_CHARACTERS)}`;
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
