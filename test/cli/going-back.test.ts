/** `start --plan|--supersede`, `rollback`, `retry`, `freeze`, `allow`: what they decide, up to the door of Temporal. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { chooseEarlier, chooseNamed, type Promotion } from '../../cli/choose-earlier.js';
import { untilOf } from '../../cli/commands/freeze.js';
import { json } from './operator.js';
import { NOW, recordedProject, reportOf } from './recorded.js';

const project = recordedProject(['2.2.0', '2.3.0', '2.4.0']);
const { run, withRegistry, record } = project;
const path = (name: string): string => join(project.directory(), name);

describe('start --plan', () => {
  const planned = ['start', '--plan', 'plan.json', '--dry-run', '--json'];

  test('carries the digest of the plan, with its strategy and selection, to the rollout', async () => {
    await run('plan', 'edge-proxy@2.4.0', 'steps', '--only', 'region=nordic', '--only', 'risk=low', '-o', 'plan.json');
    const { digest } = JSON.parse(await readFile(path('plan.json'), 'utf8')) as { digest: string };
    const said = await run(...planned);
    expect([said.exit, json(said)]).toMatchObject([
      0,
      {
        dryRun: true,
        request: {
          release: 'edge-proxy@2.4.0',
          strategy: 'steps',
          only: { region: ['nordic'], risk: ['low'] },
          planDigest: digest,
        },
      },
    ]);
  });

  test('is refused as PLAN_CHANGED, with the difference by name, before anything begins', async () => {
    await run('plan', 'edge-proxy@2.4.0', 'steps', '-o', 'plan.json');
    const fleet = await readFile(path('fleet.yaml'), 'utf8');
    await writeFile(path('fleet.yaml'), fleet.replace('{ id: osl-02, ', '{ id: osl-02, vars: { workers: 8 }, '));
    const said = await run(...planned);
    const { code, difference } = json(said) as { code: string; difference: string[] };
    expect([said.exit, code]).toEqual([1, 'PLAN_CHANGED']);
    expect(difference).toEqual([
      expect.stringMatching(/^stages\[rest\]\.waves\[0\]\.sites\[osl-02\]\.varsDigest: .* → /),
    ]);
    expect((await run('start', '--plan', 'plan.json')).out).toMatch(/^REFUSED · PLAN_CHANGED: planning gives sha256:/);
  });

  test('a bare document of --json needs release and strategy, and names sites that differ', async () => {
    const document = json(await run('plan', 'edge-proxy@2.4.0', 'steps', '--json')) as object;
    await writeFile(path('plan.json'), JSON.stringify(document));
    const alone = await run('start', '--plan', 'plan.json');
    expect([alone.exit, alone.err]).toEqual([2, expect.stringContaining('add RELEASE and STRATEGY')]);
    const same = await run('start', 'edge-proxy@2.4.0', 'steps', '--plan', 'plan.json', '--dry-run');
    expect(same.exit).toBe(0);
    const other = await run(
      'start',
      'edge-proxy@2.4.0',
      'steps',
      '--only',
      'region=nordic',
      '--plan',
      'plan.json',
      '--json',
    );
    expect([other.exit, json(other)]).toMatchObject([1, { code: 'PLAN_CHANGED' }]);
    expect(other.out).toContain('rig-01');
  });

  test('a plan that was edited, or is none, is a mistake', async () => {
    await run('plan', 'edge-proxy@2.4.0', 'steps', '-o', 'plan.json');
    const text = await readFile(path('plan.json'), 'utf8');
    await writeFile(path('plan.json'), text.replace('"onFailure": "revert-stage"', '"onFailure": "stay"'));
    const edited = await run(...planned);
    expect([edited.exit, edited.err]).toEqual([2, expect.stringContaining('was it edited?')]);
    await writeFile(path('plan.json'), '[]');
    expect((await run(...planned)).exit).toBe(2);
    expect((await run('start', '--plan', 'none.json')).err).toContain('FILE_NOT_FOUND');
  });
});

describe('start --supersede', () => {
  const supersede = (rollout: string, ...more: string[]) =>
    run('start', 'edge-proxy@2.3.0', 'steps', '--supersede', rollout, '--dry-run', '--json', ...more);

  test('names the running rollout of the stream, and says what it does to it', async () => {
    const { label } = await record('run-1');
    const said = await supersede('edge-proxy');
    expect([said.exit, json(said)]).toMatchObject([0, { supersedes: label, request: { supersede: label } }]);
    expect(said.err).toMatch(/^supersedes edge-proxy-2\.4\.0-1, which ends as it stands and undoes nothing: RUNNING/);
  });

  test('one that is over, unknown or of another stream is a mistake', async () => {
    const { label } = await record('run-1', { sealed: 'promoted' });
    expect((await supersede(label)).err).toContain('NOTHING_RUNNING');
    expect((await supersede('edge-proxy-9.9.9-1')).err).toContain('ROLLOUT_NOT_FOUND');
    await record('run-2', { status: { stream: 'psk', label: 'psk-1-1' } });
    const other = await supersede('run-2');
    expect([other.exit, other.err]).toEqual([
      2,
      expect.stringContaining('expected a rollout of edge-proxy to supersede'),
    ]);
  });
});

describe('which release a rollback goes to', () => {
  const promoted = (version: string, at: number): Promotion => ({
    label: `x-${version}`,
    version,
    digest: `d${version}`,
    at,
  });
  const now = (version: string) => ({ version, digest: `d${version}` });
  const nothing = new Set<string>();
  const history = [promoted('2.2.0', 1), promoted('2.3.0', 2), promoted('2.4.0', 3)];

  test('the one promoted before', () => {
    expect(chooseEarlier(now('2.4.0'), history, nothing)).toMatchObject({ kind: 'found', to: { version: '2.3.0' } });
  });
  test('after a rollback not the one that was left, but the one before that', () => {
    const again = [...history, promoted('2.3.0', 4)];
    expect(chooseEarlier(now('2.3.0'), again, nothing)).toMatchObject({ kind: 'found', to: { version: '2.2.0' } });
  });
  test('never a blocked one', () => {
    expect(chooseEarlier(now('2.4.0'), history, new Set(['d2.3.0']))).toMatchObject({
      to: { version: '2.2.0' },
      skipped: ['2.3.0'],
    });
    expect(chooseEarlier(now('2.4.0'), history, new Set(['d2.3.0', 'd2.2.0'])).kind).toBe('none');
  });
  test('none, where nothing was promoted before', () => {
    expect(chooseEarlier(now('2.2.0'), history, nothing)).toEqual({
      kind: 'none',
      because: 'no release was promoted before 2.2.0',
    });
  });
  test('a named one: promoted or only published, but neither the present nor a later one', () => {
    expect(chooseNamed(now('2.4.0'), '2.2.0', history)).toMatchObject({ kind: 'found', promoted: { at: 1 } });
    expect(chooseNamed(now('2.4.0'), '2.1.0', history)).toEqual({
      kind: 'found',
      to: { version: '2.1.0' },
      skipped: [],
    });
    expect(chooseNamed(now('2.4.0'), '2.4.0', history).kind).toBe('none');
    expect(chooseNamed(now('2.4.0'), '2.10.0', history)).toMatchObject({
      because: expect.stringContaining('start') as string,
    });
    expect(chooseNamed(now('2.3.0'), '2.4.0', history).kind).toBe('found');
  });
});

describe('rollback', () => {
  const rollback = (...more: string[]) => run('rollback', 'edge-proxy', '--reason', 'slow', '--dry-run', ...more);

  test('says first from what to what, and starts by the shipped strategy', async () => {
    await record('run-1', { version: '2.2.0', at: NOW - 90_000, sealed: 'promoted' });
    await record('run-2', { version: '2.3.0', at: NOW - 60_000, sealed: 'promoted' });
    await record('run-3', { version: '2.4.0', at: NOW - 30_000, sealed: 'promoted' });
    const said = await rollback('--json');
    expect(said.err).toMatch(
      /^rollback of edge-proxy: from 2\.4\.0 \(desired since .* by edge-proxy-2\.4\.0-1\) to 2\.3\.0 \(promoted .* by edge-proxy-2\.3\.0-1\)\n/,
    );
    expect([said.exit, json(said)]).toMatchObject([
      0,
      { request: { release: 'edge-proxy@2.3.0', strategy: 'rollback', by: 'tester', reason: 'slow' } },
    ]);
    expect(json(await rollback('--to', '2.2.0', '--only', 'region=nordic', '--json'))).toMatchObject({
      request: { release: 'edge-proxy@2.2.0', only: { region: ['nordic'] } },
      plan: { stages: [{ waves: [{ sites: ['osl-01', 'osl-02', 'osl-03'] }] }] },
    });
  });

  test('goes back where a narrower rollout was the last to decide', async () => {
    await record('run-1', { version: '2.3.0', at: NOW - 60_000, sealed: 'promoted' });
    await record('run-2', { version: '2.4.0', at: NOW - 30_000, only: ['id=osl-01'], sealed: 'promoted' });
    expect(json(await rollback('--only', 'id=osl-01', '--json'))).toMatchObject({
      request: { release: 'edge-proxy@2.3.0' },
    });
    const elsewhere = await rollback('--only', 'id=osl-02', '--json');
    expect([elsewhere.exit, json(elsewhere)]).toMatchObject([1, { code: 'NOTHING_EARLIER' }]);
  });

  test('with nothing earlier the answer is no; with nothing desired it is a mistake; without a reason too', async () => {
    const nothing = await rollback();
    expect([nothing.exit, nothing.err]).toEqual([2, expect.stringContaining('NOTHING_EARLIER')]);
    await record('run-1', { sealed: 'promoted' });
    const first = await rollback();
    expect([first.exit, first.out]).toEqual([1, expect.stringContaining('no release was promoted before 2.4.0')]);
    expect((await run('rollback', 'edge-proxy')).exit).toBe(2);
  });

  test('a version that was never published is not found', async () => {
    await record('run-1', { sealed: 'promoted' });
    expect((await rollback('--to', '1.0.0')).err).toContain('RELEASE_NOT_FOUND');
  });
});

describe('retry', () => {
  test('of a rollout that was not promoted: refused, with what to do instead', async () => {
    const { label } = await record('run-1', { sealed: 'reverted' });
    const said = await run('retry', label, '--reason', 'x', '--json');
    expect([said.exit, json(said)]).toMatchObject([
      1,
      {
        code: 'NOTHING_OWED',
        next: ['foothold allow edge-proxy@2.4.0 --reason …', expect.stringContaining('foothold start') as string],
      },
    ]);
  });

  test('of a promoted one: what does not run it, and what --allow would lift', async () => {
    const { label, release } = await record('run-1', { sealed: 'promoted' });
    const commandId = 'run-1/osl-02/edge-proxy/converge/1';
    const place = { site: 'osl-02', stage: 'rest', wave: 0 };
    await withRegistry(async (registry) => {
      await registry.recordCommanded('run-1', [{ ...place, verb: 'converge', commandId }], NOW);
      const key = { firstRunId: 'run-1', runId: 'run-1', activityId: 'd' };
      const outcome = { ...place, outcome: 'owed' as const, state: null };
      await registry.recordDispositions(key, [{ site: 'osl-02', commandId, outcome }], NOW);
      const held = { stream: 'edge-proxy', ...release, code: 'CHECK_FAILED', at: NOW };
      await registry.recordReport(reportOf('osl-02', { version: '2.3.0', digest: 'd' }, { quarantined: [held] }), NOW);
    });
    const dry = (...more: string[]) => run('retry', label, '--reason', 'x', '--dry-run', '--json', ...more);
    expect(json(await dry())).toMatchObject({ sites: ['osl-02'], allowed: [], quarantined: ['osl-02'] });
    expect(json(await dry('--allow'))).toMatchObject({ sites: ['osl-02'], allowed: ['osl-02'], quarantined: [] });
    const refused = await run('retry', label, '--reason', 'x', '--json');
    expect([refused.exit, json(refused)]).toMatchObject([1, { code: 'QUARANTINED' }]);
    const stranger = await dry('osl-99');
    expect([stranger.exit, stranger.err]).toEqual([2, expect.stringContaining('SITE_NOT_FOUND')]);
    expect((await run('retry', label, 'osl-01', '--reason', 'x')).exit).toBe(1);
    // Nothing is lifted while Temporal cannot be reached: nothing would follow from it.
    expect((await run('retry', label, '--allow', '--reason', 'x')).exit).toBe(3);
    expect(await withRegistry((registry) => registry.allowances('edge-proxy', release.digest))).toEqual([]);
  });
});

describe('freeze', () => {
  test('with Temporal down: is in force at once, shown by status and owed, and lifted by the same selection', async () => {
    const made = await run('freeze', '--only', 'region=nordic', '--until', '8h', '--reason', 'storm', '--json');
    expect([made.exit, json(made)]).toMatchObject([
      0,
      { freeze: { only: { region: ['nordic'] }, until: NOW + 8 * 3_600_000, by: 'tester' }, sites: 3 },
    ]);
    await record('run-1');
    for (const argv of [['status'], ['status', 'edge-proxy'], ['owed'], ['freeze', '--list']]) {
      expect((await run(...argv)).out).toMatch(/freeze-\d+ {2}region=nordic until .* by tester: storm/);
    }
    const other = await run('unfreeze', '--reason', 'over');
    expect([other.exit, other.out]).toEqual([1, expect.stringContaining('nothing was lifted')]);
    expect((await run('unfreeze', '--only', 'region=nordic', '--reason', 'over', '--dry-run')).out).toContain(
      'freeze-',
    );
    const lifted = await run('unfreeze', '--only', 'region=nordic', '--reason', 'over', '--json');
    expect([lifted.exit, json(lifted)]).toMatchObject([0, { lifted: [{ reason: 'storm' }], inForce: [] }]);
    expect((await run('freeze', '--list')).out).toBe('no freeze is in force\n');
  });

  test('the dry form freezes nothing; without an end, a reason or a site it is a mistake', async () => {
    expect((await run('freeze', '--until', '8h', '--reason', 'x', '--dry-run')).out).toMatch(
      /would freeze +every site .*\(5 sites\)/,
    );
    expect((await run('freeze', '--list')).out).toBe('no freeze is in force\n');
    expect((await run('freeze', '--reason', 'x')).err).toContain('--until');
    expect((await run('freeze', '--until', '8h')).err).toContain('--reason');
    expect((await run('freeze', '--only', 'region=nordik', '--until', '8h', '--reason', 'x')).err).toContain(
      'SELECTOR_EMPTY',
    );
  });

  test.each(['tomorrow', '2026-11-23', '2026-11-23T06:00:00', '2020-01-01T00:00:00Z', '0s', '-3h'])(
    '%s is no end',
    (written) => {
      expect(() => untilOf(written, NOW)).toThrow(/--until/);
    },
  );
  test('a time with its zone is that instant', () => {
    expect(untilOf('2026-11-22T06:00:00+02:00', NOW)).toBe(Date.parse('2026-11-22T04:00:00Z'));
  });
});

describe('allow', () => {
  test('lifts the block alone: a quarantine needs its site, or --everywhere', async () => {
    const digest = await project.digest('2.4.0');
    const ref = { stream: 'edge-proxy', version: '2.4.0', digest };
    await withRegistry(async (registry) => {
      await registry.block({ ...ref, rollout: 'edge-proxy-2.4.0-1', at: NOW - 2_000 });
      const quarantined = [{ ...ref, code: 'CHECK_FAILED', at: NOW - 1_000 }];
      await registry.recordReport(reportOf('osl-02', { version: '2.3.0', digest: 'd' }, { quarantined }), NOW);
    });
    const findings = async (): Promise<string[]> => {
      const plan = json(await run('plan', 'edge-proxy@2.4.0', 'steps', '--json')) as {
        findings: { code: string; result: string }[];
      };
      return plan.findings.filter(({ result }) => result === 'block').map(({ code }) => code);
    };
    expect(await findings()).toEqual(expect.arrayContaining(['BLOCKED', 'QUARANTINED']));
    const block = await run('allow', 'edge-proxy@2.4.0', '--reason', 'mended', '--json');
    expect(json(block)).toMatchObject({ lifted: { quarantinedAt: [] }, stays: { quarantinedAt: ['osl-02'] } });
    expect(await findings()).toEqual(['QUARANTINED']);
    expect((await run('allow', 'edge-proxy@2.4.0', '--reason', 'x', '--site', 'osl-02', '--everywhere')).exit).toBe(2);
    const all = await run('allow', 'edge-proxy@2.4.0', '--reason', 'mended', '--everywhere');
    expect(all.out).toContain('quarantine reported by osl-02: lifted at each of them');
    expect(await findings()).toEqual([]);
  });
});
