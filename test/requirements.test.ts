/**
 * docs/requirements.md and the names of the tests say the same: an id that is called proved is in the name of a test that
 * runs, and what does not apply has a reason.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { readSources } from './walls/sources.js';
import { readTestIds } from './walls/test-names.js';

interface Requirement {
  id: string;
  text: string;
  status: string;
}

const root = fileURLToPath(new URL('..', import.meta.url));

/** The rows `| A1 | text | status |` of the page. */
function readRequirements(page: string): Requirement[] {
  const rows = page.matchAll(/^\| *([AB]\d+) *\|(.*)\|([^|]*)\|\s*$/gm);
  return [...rows].map(([, id = '', text = '', status = '']) => ({ id, text: text.trim(), status: status.trim() }));
}

/** With its reason, in words. */
function isExcused(status: string): boolean {
  return /^does not apply: (\S+ ){3,}\S+$/.test(status);
}

function judge(requirements: Requirement[], named: string[]): string[] {
  const ids = requirements.map(({ id }) => id);
  return [
    ...ids.filter((id, index) => ids.indexOf(id) !== index).map((id) => `${id} is listed twice`),
    ...requirements.filter(({ text }) => text === '').map(({ id }) => `${id} has no words`),
    ...requirements
      .filter(({ status }) => !['proved', 'planned'].includes(status) && !isExcused(status))
      .map(({ id, status }) => `${id} is ${status}`),
    ...requirements
      .filter(({ id, status }) => status === 'proved' && !named.includes(id))
      .map(({ id }) => `${id} is proved by no test`),
    ...requirements
      .filter(({ id, status }) => status === 'planned' && named.includes(id))
      .map(({ id }) => `${id} is in the name of a test, and called planned`),
    ...requirements
      .filter(({ id, status }) => isExcused(status) && named.includes(id))
      .map(({ id }) => `${id} is in the name of a test, and said not to apply`),
    ...new Set(named.filter((id) => !ids.includes(id)).map((id) => `${id} is in the name of a test, and not listed`)),
  ];
}

describe('docs/requirements.md', () => {
  const requirements = readRequirements(readFileSync(`${root}docs/requirements.md`, 'utf8'));
  const tests = readSources(root, ['test']).filter(({ path }) => path.endsWith('.test.ts'));

  it('says of every requirement what its tests say', () => {
    expect(requirements.length).toBeGreaterThan(0);
    expect(
      judge(
        requirements,
        readTestIds(tests).map(({ id }) => id),
      ),
    ).toEqual([]);
  });
});

describe('the judge of requirements', () => {
  const row = (status: string): Requirement => ({ id: 'A1', text: 'words', status });

  it('refuses what is proved by no test, not listed, listed twice, or neither proved nor planned', () => {
    expect(judge([row('proved')], ['A1'])).toEqual([]);
    expect(judge([row('planned')], [])).toEqual([]);
    expect(judge([row('proved')], [])).toEqual(['A1 is proved by no test']);
    expect(judge([row('planned')], ['A1'])).toEqual(['A1 is in the name of a test, and called planned']);
    expect(judge([row('proved')], ['A1', 'B2', 'B2'])).toEqual(['B2 is in the name of a test, and not listed']);
    expect(judge([row('planned'), row('planned')], [])).toEqual(['A1 is listed twice']);
    expect(judge([row('done')], [])).toEqual(['A1 is done']);
  });

  it('takes what does not apply only with a reason, and not if a test claims it', () => {
    expect(judge([row('does not apply: nothing here looks at it')], [])).toEqual([]);
    expect(judge([row('does not apply: nothing here looks at it')], ['A1'])).toEqual([
      'A1 is in the name of a test, and said not to apply',
    ]);
    for (const status of ['does not apply', 'does not apply:', 'does not apply: later']) {
      expect(judge([row(status)], [])).toEqual([`A1 is ${status}`]);
    }
  });

  it('reads ids from the names of tests that run, and from nothing else', () => {
    const ids = (text: string): string[] => readTestIds([{ path: 'x.test.ts', text }]).map(({ id }) => id);
    expect(ids("it('[A1] works', () => {})")).toEqual(['A1']);
    expect(ids("describe('x [A1, B22]', () => { test('[A3]', f); })")).toEqual(['A1', 'B22', 'A3']);
    expect(ids("it.each([['[A9]', 1]])('[A4] %s', f); describe.each`a`('[A5]', f)")).toEqual(['A4', 'A5']);
    expect(ids('it(`[A6] ${name}`, f)')).toEqual(['A6']);
    expect(ids("it.skip('[A1]', f); it.todo('[A2]'); describe.skip('x', () => { it('[A3]', f); })")).toEqual([]);
    expect(ids("// it('[A1]')\nconst x = '[A2]'; rows[A3]; expect('[A4]')")).toEqual([]);
  });

  it('reads the rows of a table', () => {
    const page =
      '| id | what | status |\n| --- | --- | --- |\n| A7 | a, b | proved |\n| B10 | c | planned |\ntext A9\n';
    expect(readRequirements(page)).toEqual([
      { id: 'A7', text: 'a, b', status: 'proved' },
      { id: 'B10', text: 'c', status: 'planned' },
    ]);
  });
});
