/** A person's verbs at the site, with the real agent and no network, and their like at the centre over a real registry. */
import { lstatSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Agent } from '../../site/agent.js';
import type { AgentOptions } from '../../site/options.js';
import { carryOut, directoryRelease, TestSite } from '../site/test-site.js';
import { emptyDirectory, foothold, json } from './operator.js';
import { NOW, recordedProject, reportOf } from './recorded.js';

describe('at the site', () => {
  let site: TestSite;
  let agent: Agent;
  let directory: string;
  const run = (...argv: string[]) => foothold(directory, ['agent', ...argv]);
  const document = async (...argv: string[]) => json(await run(...argv, '--json')) as Record<string, unknown>;
  const page = () => readFileSync(site.path('live', 'conf', 'page'), 'utf8');
  const start = async (options: Partial<AgentOptions> = {}) => {
    agent = await site.start({ driftEveryMs: 86_400_000, ...options });
    await agent.serveLocal();
  };
  const confirm = async (n: number) => {
    const release = site.publish(directoryRelease(site, `${n}.0.0`), { 'files/page': `healthy ${n}` });
    expect(await carryOut(agent, site, site.command(release, { generation: n }))).toMatchObject({
      result: 'confirmed',
    });
  };

  beforeEach(async () => {
    site = new TestSite();
    site.write('live/conf/page', 'healthy original');
    directory = await emptyDirectory();
    await writeFile(join(directory, 'control.pub'), site.publicPem);
    const file = { site: site.site, data: site.data, controlKeys: ['control.pub'], depot: 'http://127.0.0.1:1/' };
    await writeFile(
      join(directory, 'agent.yaml'),
      JSON.stringify({ apiVersion: 'foothold/v1', kind: 'Agent', ...file }),
    );
  });
  afterEach(() => site.clear());

  it('hold and unhold say who, why and until when, in status and in the journal', async () => {
    await start();
    const dry = await run('hold', '--until', '8h', '--reason', 'mast', '--dry-run');
    expect([dry.exit, dry.out]).toEqual([
      0,
      'would hold at the site  every stream for another 8h when it was told, by tester: mast\n',
    ]);
    expect((await agent.report()).holds).toBeUndefined();
    const held = await run('hold', '--until', '8h', '--reason', 'mast');
    expect([held.exit, held.out]).toEqual([0, expect.stringMatching(/^held\n.*\n.*every stream.*by tester: mast\n$/)]);
    expect((await run('status')).out).toMatch(/held: nothing new is switched; an undo never waits\n.*by tester: mast/);
    expect((await run('history')).out).toMatch(/held\n$/);
    const other = await run('unhold', 'edge-proxy', '--reason', 'done');
    expect([other.exit, other.out]).toEqual([1, expect.stringMatching(/^nothing was lifted: edge-proxy has no hold/)]);
    expect((await run('unhold', '--reason', 'done', '--dry-run')).out).toMatch(/^would be ended: at the site/);
    expect(await document('unhold', '--reason', 'done')).toMatchObject({ lifted: [{ by: 'tester' }], holds: [] });
    expect((await run('unhold', '--reason', 'done')).exit).toBe(1);
  });

  it.each([
    [['hold'], /expected --reason/],
    [['hold', '--reason', 'x', '--until', 'noon'], /expected --until/],
    [['hold', '--reason', 'x', '--until', '2020-01-01T00:00:00Z'], /lie ahead/],
    [['revert', '--reason', 'x'], /missing required argument/],
  ])('%j is a mistake, and holds nothing', async (argv, message) => {
    await start();
    const said = await run(...argv);
    expect([said.exit, said.err]).toEqual([2, expect.stringMatching(message)]);
    expect((await agent.report()).holds).toBeUndefined();
  });

  it('revert goes back to what was confirmed before, and says when there is nothing', async () => {
    await start();
    await confirm(1);
    await confirm(2);
    const dry = await run('revert', 'edge-proxy', '--reason', 'sparks', '--dry-run');
    expect([dry.exit, dry.out, page()]).toEqual([0, 'would go back from 2.0.0 to 1.0.0\n', 'healthy 2']);
    const undone = await run('revert', 'edge-proxy', '--reason', 'sparks');
    expect([undone.exit, undone.out, page()]).toEqual([0, 'reverted: edge-proxy runs 1.0.0\n', 'healthy 1']);
    expect(await document('revert', 'edge-proxy', '--reason', 'sparks')).toMatchObject({ state: 'reverted' });
    const nothing = await run('revert', 'edge-proxy', '--reason', 'sparks');
    expect([nothing.exit, nothing.err]).toEqual([2, expect.stringContaining('LKG_MISSING')]);
  });

  it('[A47] status names safe mode, and unhold of the stream ends it', async () => {
    await start();
    const driver = {
      ...{ type: 'directory', files: './files', target: site.path('live', 'conf') },
      reload: ['/no/such/program'],
    };
    const bad = site.publish(directoryRelease(site, '1.0.0', { driver }), { 'files/page': 'healthy 1' });
    await carryOut(agent, site, site.command(bad));
    const status = await run('status');
    expect(status.out).toMatch(/safe mode\n {2}edge-proxy since .*: REVERT_FAILED .*ends by a person at the site/);
    expect((await run('unhold', 'edge-proxy', '--reason', 'looked')).out).toMatch(/^ended: safe mode of edge-proxy\n/);
    expect((await run('status')).out).not.toMatch(/safe mode\n/);
  });

  it('status tells the age of what is sampled no longer, and nothing of a release that was undone', async () => {
    await start();
    const wanted = { name: 'lamp', exec: ['false'], every: '50ms', need: 'wanted' };
    const [ok] = directoryRelease(site, '1.0.0').checks;
    const over = directoryRelease(site, '1.0.0', { checks: [ok, wanted], watchFor: '0s' });
    await carryOut(agent, site, site.command(site.publish(over, { 'files/page': 'healthy 1' })));
    const { out } = await run('status');
    expect(out).toMatch(/edge-proxy +confirmed +1\.0\.0 .* ok ok \S+ ago, lamp sick \S+ ago\n/);
    expect(out).toMatch(/sick\n {2}edge-proxy lamp \(wanted\) \S+ ago: /);
    const bad = site.publish(directoryRelease(site, '2.0.0'), { 'files/page': 'broken' });
    await carryOut(agent, site, site.command(bad, { generation: 2 }));
    expect((await run('status')).out).not.toMatch(/sick/);
  });

  it('[A46] status tells what has drifted, path by path; --drift looks now', async () => {
    await start();
    await confirm(1);
    writeFileSync(site.path('live', 'conf', 'page'), 'healthy by hand');
    expect((await run('status')).out).not.toMatch(/drift\n/);
    const told = await run('status', '--drift');
    expect(told.out).toMatch(
      /drift\n {2}edge-proxy against 1\.0\.0, seen \S+ since \S+\n {4}changed main\/page: content .* \(alert\)/,
    );
    expect((await run('status')).out).toMatch(/changed main\/page/);
    expect((await run('status', '--like', 'edge-proxy@1.0.0')).err).toContain('--like is for --observe');
  });

  it('an observing agent compares with a release that it is shown, and changes nothing', async () => {
    await start({ observe: true });
    const release = join(directory, 'release');
    await mkdir(join(release, 'files'), { recursive: true });
    await writeFile(join(release, 'files', 'page'), 'healthy 1');
    const { checks, confirm: confirms, ...shape } = directoryRelease(site, '1.0.0');
    const file = { apiVersion: 'foothold/v1', kind: 'Release', ...shape, checks, confirm: confirms };
    await writeFile(join(release, 'release.yaml'), JSON.stringify(file));
    const told = await run('status', '--like', 'release');
    expect([told.exit, told.err]).toEqual([0, '']);
    expect(told.out).toMatch(/only observed: the agent changes nothing here/);
    expect(told.out).toMatch(/edge-proxy against 1\.0\.0.*\n {4}changed main\/page: .*\n {4}can be adopted: yes/);
    const revert = await run('revert', 'edge-proxy', '--reason', 'x');
    expect([revert.exit, revert.err]).toEqual([2, expect.stringContaining('OBSERVING')]);
    expect(lstatSync(site.path('live', 'conf')).isDirectory()).toBe(true);
    expect(page()).toBe('healthy original');
  });
});

describe('at the centre', () => {
  const project = recordedProject(['2.3.0', '2.4.0']);
  const run = (...argv: string[]) => project.run(...argv);
  const reason = ['--reason', 'no crew'];

  it('site hold is kept with who, why and until when; unhold lifts it; both are in the history', async () => {
    const dry = await run('site', 'hold', 'osl-01', '--until', '8h', ...reason, '--dry-run');
    expect(dry.out).toMatch(/^would hold {2}osl-01 every stream until .*, by tester: no crew\n$/);
    expect(await project.withRegistry((registry) => registry.holds(NOW))).toEqual([]);
    const held = json(await run('site', 'hold', 'osl-01', 'edge-proxy', ...reason, '--json'));
    expect(held).toMatchObject({ hold: { id: 'hold-1', site: 'osl-01', stream: 'edge-proxy', by: 'tester' } });
    expect((await run('owed')).out).toMatch(/held at the centre: .*\n.*hold-1 {2}osl-01 edge-proxy until it is lifted/);
    const other = await run('site', 'unhold', 'osl-01', ...reason);
    expect([other.exit, other.out]).toEqual([1, expect.stringMatching(/^nothing was lifted[^]*hold-1/)]);
    expect((await run('site', 'unhold', 'osl-01', 'edge-proxy', ...reason, '--dry-run')).out).toMatch(/^hold-1/);
    const lifted = await run('site', 'unhold', 'osl-01', 'edge-proxy', ...reason);
    expect([lifted.exit, lifted.out]).toEqual([
      0,
      expect.stringMatching(/^lifted\n {2}hold-1[^]*osl-01 is not held\n$/),
    ]);
    const history = (await run('history', 'osl-01')).out;
    expect(history).toMatch(/ hold of osl-01 edge-proxy by tester: no crew/);
    expect(history).toMatch(/ unhold of osl-01 edge-proxy by tester: no crew/);
  });

  it('is shown with what the site itself reports, in fleet status, site show and the plan', async () => {
    const live = { version: '2.3.0', digest: await project.digest('2.3.0') };
    const place = { component: 'main', path: 'a.conf', kind: 'changed' } as const;
    const path = { ...place, detail: 'content x, not y', policy: 'alert' } as const;
    const drift = { against: live, at: NOW, since: NOW, paths: [path], total: 1 };
    const safeMode = { at: NOW, reason: { code: 'REVERT_FAILED', detail: 'reload' } } as const;
    const its = { state: 'safe-mode', live, generation: 1, try: 1, checks: [] } as const;
    const sick = { name: 'lamp', need: 'wanted', healthy: false, detail: 'dark' } as const;
    const checks = [sick, { ...sick, name: 'mast', sampledAt: NOW - 86_400_000 }];
    await project.withRegistry(async (registry) => {
      const holds = [{ by: 'kari', reason: 'mast', at: NOW, endsIn: 3_600_000 }];
      await registry.recordReport(reportOf('osl-01', live, { holds }), NOW);
      const streams = { 'edge-proxy': { ...its, checks: [], safeMode, drift } };
      await registry.recordReport(reportOf('osl-03', live, { streams: { 'edge-proxy': { ...its, checks } } }), NOW);
      await registry.recordReport(reportOf('osl-02', live, { streams }), NOW);
    });
    await run('site', 'hold', 'osl-03', ...reason);
    const fleet = (await run('fleet', 'status')).out;
    expect(fleet).toMatch(/osl-01 .*HELD at the site by kari: mast until 2026-11-22T04:00:00/);
    expect(fleet).toMatch(/osl-02 .*SAFE_MODE since .*; 1 paths differ from 2\.3\.0/);
    expect(fleet).toMatch(/osl-03 .*HELD hold-1 at the centre by tester: no crew/);
    expect((await run('site', 'show', 'osl-01')).out).toMatch(/held: .*\n {2}at the site {2}every stream for another/);
    const shown = (await run('site', 'show', 'osl-02')).out;
    expect(shown).toMatch(/safe mode\n {2}edge-proxy since .*REVERT_FAILED/);
    expect(shown).toMatch(/drift, by the clock of the site\n.*edge-proxy against 2\.3\.0.*\n.*changed main\/a\.conf/);
    expect((await run('site', 'show', 'osl-03')).out).toMatch(/sick: lamp\n/);
    const plan = await run('plan', 'edge-proxy@2.4.0', 'steps', '--json');
    const { findings } = json(plan) as { findings: { site?: string; code: string; result: string }[] };
    const held = findings.filter(({ code }) => code === 'HELD' || code === 'SAFE_MODE');
    expect(held.map(({ site, code, result }) => `${site} ${code} ${result}`).sort()).toEqual([
      ...['osl-01 HELD warn', 'osl-02 SAFE_MODE warn', 'osl-03 HELD warn'],
    ]);
  });

  it.each([
    [['site', 'hold', 'osl-99', '--reason', 'x'], 'SITE_NOT_FOUND'],
    [['site', 'hold', 'osl-01', 'nothing', '--reason', 'x'], 'BAD_ARGUMENT'],
    [['site', 'hold', 'osl-01'], 'expected --reason'],
    [['site', 'unhold', 'osl-99', '--reason', 'x'], 'SITE_NOT_FOUND'],
  ])('%j is a mistake', async (argv, message) => {
    const said = await run(...argv);
    expect([said.exit, said.err]).toEqual([2, expect.stringContaining(message)]);
  });
});
