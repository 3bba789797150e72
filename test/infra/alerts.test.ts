/** The alert rules for sites, by Prometheus' own tool, and over the metrics that a real agent shows. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { run } from '../../infra/dev/run.js';
import { findProgram, type Program } from '../../infra/programs/find.js';
import { carryOut, directoryRelease, TestSite } from '../site/test-site.js';

interface Rules {
  groups: { name: string; rules: { alert: string; expr: string; annotations: { next: string } }[] }[];
}

const ALERTS = fileURLToPath(new URL('../../infra/alerts/', import.meta.url));
const DOCS = new URL('../../', import.meta.url);
const RULES = 'foothold-sites.rules.yaml';
const TESTS = 'foothold-sites.test.yaml';
const written = parse(readFileSync(join(ALERTS, RULES), 'utf8')) as Rules;
const rules = written.groups.flatMap((group) => group.rules);

let promtool: Program;
let folder: string;
beforeAll(async () => {
  promtool = await findProgram('promtool');
  folder = mkdtempSync(join(tmpdir(), 'fh-alerts-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const testRules = (directory: string) =>
  run(promtool.path, ['test', 'rules', TESTS], { cwd: directory, env: promtool.env });

describe('the alert rules for sites', () => {
  it('say yes where they must and no beside it', async () => {
    const checked = await run(promtool.path, ['check', 'rules', RULES], { cwd: ALERTS, env: promtool.env });
    expect(checked).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(`${rules.length} rules found`) as string,
    });
    expect(await testRules(ALERTS)).toMatchObject({ code: 0 });
  });

  it.each(rules.map(({ alert }) => alert))('%s is missed where it is not there', async (alert) => {
    cpSync(join(ALERTS, TESTS), join(folder, TESTS));
    const groups = written.groups.map((group) => ({
      ...group,
      rules: group.rules.filter((rule) => rule.alert !== alert),
    }));
    writeFileSync(join(folder, RULES), stringify({ groups }));
    expect((await testRules(folder)).code).not.toBe(0);
  });

  it('name playbooks and pages that are there', () => {
    const pages = rules.flatMap(({ annotations }) => annotations.next.match(/docs\/[\w/-]+\.md/g) ?? []);
    expect(pages.length).toBeGreaterThan(3);
    for (const page of pages) expect(readFileSync(new URL(page, DOCS), 'utf8')).not.toBe('');
  });
});

describe('what the rules ask for', () => {
  let site: TestSite;
  beforeEach(() => {
    site = new TestSite();
    site.write('live/conf/page', 'healthy original');
  });
  afterEach(() => site.clear());

  it('[A43] is what an agent shows', async () => {
    const agent = await site.start();
    const one = site.publish(directoryRelease(site, '1.0.0'), { 'files/page': 'healthy 1' });
    expect(await carryOut(agent, site, site.command(one))).toMatchObject({ result: 'confirmed' });
    const shown = await agent.metricsText();
    const asked = new Set(rules.flatMap(({ expr }) => expr.match(/foothold_\w+/g) ?? []));
    expect(asked.size).toBeGreaterThan(5);
    for (const metric of asked) expect(shown).toMatch(new RegExp(`^${metric}\\{.*site="osl-01"`, 'm'));
  });
});
