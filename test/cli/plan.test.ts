import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { emptyDirectory, foothold, json } from './operator.js';
import { testProject } from './project.js';

interface PlanDocument {
  version: number;
  digest: string;
  release: { stream: string; version: string; digest: string };
  stages: { name: string; waves: { sites: string[] }[] }[];
  excluded: { site: string; reason: string }[];
  findings: { site?: string; check: string; result: string; code: string; reason: string }[];
}

describe('plan', () => {
  test('[A55] prints exactly the document of the contract, from files alone, with no server', async () => {
    const project = await testProject();
    const path = await project.release('2.4.0', 'requires: { firmware: ">=3.2" }');
    const argv = ['plan', path, join(project.directory, 'strategies/steps.yaml'), '--fleet', project.fleet, '--json'];
    const said = await foothold(await emptyDirectory(), argv);
    const plan = json(said) as PlanDocument;
    expect(Object.keys(plan)).toEqual(['version', 'digest', 'release', 'stages', 'excluded', 'findings']);
    expect(plan.version).toBe(1);
    expect(plan.digest).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(plan.release).toEqual({ stream: 'edge-proxy', version: '2.4.0', digest: plan.release.digest });
    expect(plan.release.digest).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(plan.stages).toEqual([
      { name: 'canary', waves: [{ sites: ['osl-01'] }] },
      { name: 'rest', waves: [{ sites: ['osl-02'] }, { sites: ['osl-03', 'rig-01'] }] },
    ]);
    expect(plan.excluded).toEqual([{ site: 'rig-02', reason: 'state is maintenance' }]);
    const blocks = plan.findings.filter((finding) => finding.result === 'block');
    expect(blocks).toMatchObject([{ site: 'osl-03', check: 'requires', code: 'REQUIRES_UNMET' }]);
    expect(Object.keys(blocks[0] ?? {})).toEqual(['site', 'check', 'result', 'code', 'reason']);
    expect(said.exit).toBe(1);
    expect(said.err).toBe('');
  });

  test('the same files give the same digest; another variable gives another', async () => {
    const project = await testProject();
    const path = await project.release('2.4.0');
    const digest = async (): Promise<string> =>
      (json(await foothold(project.directory, ['plan', path, 'steps', '--json'])) as PlanDocument).digest;
    const first = await digest();
    expect(await digest()).toBe(first);
    const fleet = await readFile(project.fleet, 'utf8');
    await writeFile(project.fleet, fleet.replace('workers: 2', 'workers: 3'));
    expect(await digest()).not.toBe(first);
  });

  test('a directory and the published release are one plan, and planning publishes nothing', async () => {
    const project = await testProject();
    const path = await project.release('2.4.0');
    const fromDirectory = json(await foothold(project.directory, ['plan', path, 'steps', '--json'])) as PlanDocument;
    expect(await readdir(join(project.directory, 'depot'))).toEqual([]);
    await foothold(project.directory, ['publish', path]);
    const argv = ['plan', 'edge-proxy@2.4.0', 'steps', '--json'];
    expect((json(await foothold(project.directory, argv)) as PlanDocument).digest).toBe(fromDirectory.digest);
  });

  test('--only narrows, -o writes the document, people get stages, waves and findings', async () => {
    const project = await testProject();
    const path = await project.release('2.4.0');
    const argv = ['plan', path, 'steps', '--only', 'region=nordic', '--only', 'risk=low,medium', '-o', 'plan.json'];
    const said = await foothold(project.directory, argv);
    expect(said.exit).toBe(0);
    expect(said.out).toContain('edge-proxy@2.4.0 to 3 sites in 2 stages, by strategy steps');
    expect(said.out).toMatch(/rest {2}2 sites[^]* wave 1 {2}osl-02\n {2}wave 2 {2}osl-03/);
    expect(said.out).toContain('rig-01: not in only');
    const written = JSON.parse(await readFile(join(project.directory, 'plan.json'), 'utf8')) as PlanDocument;
    expect(written.stages[1]?.waves).toEqual([{ sites: ['osl-02'] }, { sites: ['osl-03'] }]);
  });

  test.each([
    [['edge-proxi@2.4.0', 'steps'], 'RELEASE_NOT_FOUND', 'edge-proxy'],
    [['edge-proxy@2.4.1', 'steps'], 'RELEASE_NOT_FOUND', '2.4.0'],
    [['nonsense', 'steps'], 'RELEASE_NOT_FOUND', 'stream@version'],
    [['edge-proxy@2.4.0', 'stepps'], 'STRATEGY_NOT_FOUND', 'did you mean steps?'],
    [['edge-proxy@2.4.0', './other.yaml'], 'STRATEGY_NOT_FOUND', 'other.yaml'],
    [['edge-proxy@2.4.0', 'steps', '--only', 'regio=x'], 'BAD_INPUT', 'region'],
    [['edge-proxy@2.4.0', 'steps', '--only', 'region=west'], 'SELECTOR_EMPTY', 'baltic'],
    [['edge-proxy@2.4.0', 'steps', '--only', 'id=osl-1'], 'SITE_NOT_FOUND', 'osl-01'],
    [['edge-proxy@2.4.0', 'steps', '--depot', 'http://127.0.0.1:1/'], 'DEPOT_UNREACHABLE', '127.0.0.1:1'],
  ])('%j ends with %s and says what was meant', async (argv, code, hint) => {
    const project = await testProject();
    await foothold(project.directory, ['publish', await project.release('2.4.0')]);
    const said = await foothold(project.directory, ['plan', ...argv]);
    expect(said.exit).toBe(code === 'DEPOT_UNREACHABLE' ? 3 : 2);
    expect(said.err).toMatch(new RegExp(`^error ${code}: `));
    expect(said.err).toContain(hint);
    expect(said.err).toContain(`docs/playbooks/${code}.md`);
  });
});

describe('publish', () => {
  test('the same again changes nothing; other content under the version is refused, in the dry form too', async () => {
    const project = await testProject();
    const path = await project.release('2.4.0');
    const dry = await foothold(project.directory, ['publish', path, '--dry-run']);
    expect([dry.exit, dry.out]).toEqual([0, expect.stringContaining('would publish edge-proxy@2.4.0')]);
    expect(await readdir(join(project.directory, 'depot'))).toEqual([]);

    const first = json(await foothold(project.directory, ['publish', path, '--json'])) as { created: boolean };
    const again = json(await foothold(project.directory, ['publish', path, '--json'])) as { created: boolean };
    expect([first.created, again.created]).toEqual([true, false]);

    await writeFile(join(path, 'files/main.conf'), 'other');
    for (const more of [[], ['--dry-run']]) {
      const refused = await foothold(project.directory, ['publish', path, ...more]);
      expect([refused.exit, refused.err]).toEqual([2, expect.stringContaining('RELEASE_CONFLICT')]);
    }
  });
});

test('start with Temporal down leaves nothing behind', async () => {
  const project = await testProject();
  const path = await project.release('2.4.0');
  const said = await foothold(project.directory, ['start', path, 'strategies/steps.yaml']);
  expect([said.exit, said.err]).toEqual([3, expect.stringContaining('TEMPORAL_UNREACHABLE')]);
  expect(await readdir(join(project.directory, 'depot'))).toEqual([]);
  expect(await readdir(project.directory)).not.toContain('registry.db');
});

test('start --dry-run plans, needs no server and changes nothing', async () => {
  const project = await testProject();
  const path = await project.release('2.4.0');
  const said = await foothold(project.directory, ['start', path, 'steps', '--dry-run', '--reason', 'CVE', '--json']);
  expect(said.exit).toBe(0);
  expect(json(said)).toMatchObject({
    dryRun: true,
    request: { release: 'edge-proxy@2.4.0', strategy: 'steps', by: 'tester', reason: 'CVE' },
    plan: { version: 1 },
  });
  expect(await readdir(join(project.directory, 'depot'))).toEqual([]);
});
