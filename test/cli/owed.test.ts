/** What the registry alone answers: debts, sites, history, evidence; with Temporal down, as everywhere in these tests. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Result } from '../../policies/model/command.js';
import type { Debt } from '../../policies/model/debt.js';
import type { RolloutStatus } from '../../policies/model/rollout.js';
import type { Registry } from '../../records/registry/registry.js';
import { json } from './operator.js';
import { Journal } from '../records/registry/facts.js';
import { NOW, recordedProject, reportOf } from './recorded.js';

const project = recordedProject(['2.3.0', '2.4.0']);
const { run, withRegistry, record } = project;

const SITES = ['osl-01', 'osl-03', 'rig-01', 'rig-02', 'hub-01'];

const idOf = (rollout: RolloutStatus, site: string, verb: string): string =>
  `${rollout.firstRunId}/${site}/edge-proxy/${verb}/1`;

/** osl-01 is owed the release, osl-02 owes an undo. */
async function owing(rollout: RolloutStatus): Promise<void> {
  await withRegistry(async (registry) => {
    await commanded(registry, rollout, 'osl-01', 'converge', NOW - 3_600_000);
    const key = { firstRunId: rollout.firstRunId, runId: rollout.firstRunId, activityId: 'd' };
    const outcome = {
      site: 'osl-01',
      stage: 'canary',
      wave: 0,
      outcome: 'owed' as const,
      state: null,
      reason: { code: 'UNREACHED' as const, detail: 'never received' },
    };
    const commandId = idOf(rollout, 'osl-01', 'converge');
    await registry.recordDispositions(key, [{ site: 'osl-01', commandId, outcome }], NOW - 3_600_000);
    await commanded(registry, rollout, 'osl-02', 'converge', NOW - 7_200_000);
    await commanded(registry, rollout, 'osl-02', 'revert', NOW - 7_200_000);
  });
}

async function commanded(
  registry: Registry,
  rollout: RolloutStatus,
  site: string,
  verb: 'converge' | 'revert',
  at: number,
): Promise<void> {
  const commandId = idOf(rollout, site, verb);
  await registry.recordCommanded(rollout.firstRunId, [{ site, stage: 'canary', wave: 0, verb, commandId }], at);
}

/** The undo of `site` has arrived there. */
async function answered(registry: Registry, rollout: RolloutStatus, site: string): Promise<void> {
  await commanded(registry, rollout, site, 'revert', NOW - 60_000);
  const commandId = idOf(rollout, site, 'revert');
  const { firstRunId, stream, generation } = rollout;
  const result: Result = {
    ...{ commandId, site, stream, verb: 'revert', generation: generation + 1, try: 1 },
    ...{ result: 'reverted', changed: false, at: NOW - 30_000 },
  };
  const report = reportOf(site, { version: '2.3.0', digest: 'sha256:0' });
  await registry.recordSettled(
    { firstRunId, runId: firstRunId, activityId: 'answered' },
    { stage: 'canary', wave: 0 },
    [{ kind: 'result', commandId, result, report, events: [] }],
    NOW - 30_000,
  );
}

describe('owed', () => {
  test('[A43] totals first, owed reverts before converges, each with why, since, owner, last seen and what unblocks it', async () => {
    const rollout = await record('run-1', { status: { state: 'waiting' } });
    await owing(rollout);
    await withRegistry((registry) =>
      registry.recordReport(reportOf('osl-02', { version: '2.3.0', digest: 'sha256:0' }), NOW - 7_000_000),
    );
    const said = await run('owed');
    expect(said.exit).toBe(0);
    const lines = said.out.split('\n');
    expect(lines[0]).toBe('1 owed revert, 1 owed converge · 1 streams');
    expect(lines[3]).toMatch(
      /^osl-02 +edge-proxy +undo of 2\.4\.0 +COMMANDED .* 2h ago +edge-proxy-2\.4\.0-1 +116m ago$/,
    );
    expect(lines[4]).toMatch(
      /^osl-01 +edge-proxy +converge to 2\.4\.0 +UNREACHED \(never received\) +1h ago +edge-proxy-2\.4\.0-1 +never$/,
    );
    expect(said.out).toMatch(
      /what would unblock\n {2}revert COMMANDED: .*never expire[^]*next: foothold site show osl-02/,
    );

    const { totals, debts } = json(await run('owed', 'edge-proxy', '--json')) as { totals: unknown[]; debts: Debt[] };
    expect(debts.map(({ site, verb }) => [site, verb])).toEqual([
      ['osl-02', 'revert'],
      ['osl-01', 'converge'],
    ]);
    expect(totals).toHaveLength(2);
    const one = await run('owed', '--site', 'osl-01');
    expect(one.out).toMatch(/^0 owed reverts, 1 owed converge/);
  });

  test('shows as many as asked for and says how many more there are', async () => {
    await owing(await record('run-1', {}));
    const said = await run('owed', '--limit', '1');
    expect(said.out).toContain('osl-02');
    expect(said.out).not.toMatch(/^osl-01/m);
    expect(said.out).toContain('… and 1 more');
    const bad = await run('owed', '--limit', 'few');
    expect([bad.exit, bad.err]).toEqual([2, expect.stringContaining('--limit')]);
  });

  test('nothing owed is said so; a stream that nobody knows is a mistake', async () => {
    await record('run-1', {});
    expect((await run('owed', 'edge-proxy')).out).toBe('NOTHING OWED · edge-proxy\n');
    const typo = await run('owed', 'edge-prox');
    expect([typo.exit, typo.err]).toEqual([2, expect.stringContaining('did you mean edge-proxy?')]);
  });

  test('after a promoted rollout the debts are catch-up’s', async () => {
    const rollout = await record('run-1', {});
    await owing(rollout);
    await withRegistry((registry) => registry.handOver('run-1', 'promoted', NOW));
    expect((await run('owed')).out).toMatch(/osl-01 .* catchUp +never/);
  });
});

describe('status of a rollout that is over', () => {
  test('counts the undos that are owed now, not those of when it was sealed', async () => {
    const rollout = await record('run-1', {
      status: { state: 'sealed', outcome: 'reverted', owedReverts: ['osl-01', 'osl-02'] },
    });
    await owing(rollout);
    await withRegistry((registry) => answered(registry, rollout, 'osl-01'));
    expect((await run('status', rollout.label)).out).toContain('1 site still owes a revert');
    const { rollouts } = json(await run('status', '--json')) as { rollouts: RolloutStatus[] };
    expect(rollouts[0]?.owedReverts).toEqual(['osl-02']);
  });
});

describe('site show', () => {
  test('[A43] report, what it should run, what it owes, what was wrong in what it told, its last events', async () => {
    const before = await record('run-1', { version: '2.3.0', at: NOW - 60_000, sealed: 'promoted' });
    const digest = await project.digest('2.4.0');
    const quarantined = [{ stream: 'edge-proxy', version: '2.4.0', digest, code: 'CHECK_FAILED', at: NOW - 9_000 }];
    await withRegistry((registry) =>
      registry.recordReport(
        reportOf('osl-02', { version: '2.2.0', digest: 'sha256:0' }, { quarantined }),
        NOW - 60_000,
      ),
    );
    await owing(await record('run-2', {}));
    const said = await run('site', 'show', 'osl-02');
    expect(said.exit).toBe(0);
    expect(said.out).toMatch(
      /^osl-02 · active, nordic, fibre link, medium risk · last report 1m ago, agent 0\.1\.0, epoch 1\n/,
    );
    expect(said.out).toMatch(new RegExp(`edge-proxy +2\\.2\\.0 +2\\.3\\.0 by ${before.label} +- +confirmed`));
    expect(said.out).toMatch(/owes\n {2}an undo of edge-proxy@2\.4\.0, since 2h: COMMANDED/);
    expect(said.out).toContain('next: foothold allow edge-proxy@2.4.0 --site osl-02 --reason …');
    const document = json(await run('site', 'show', 'osl-02', '--json')) as Record<string, unknown>;
    expect(Object.keys(document)).toEqual([
      'site',
      'declared',
      'report',
      'receivedAt',
      'speaker',
      'desired',
      'holds',
      'debts',
      'anomalies',
      'events',
      'outbox',
    ]);
    const unknown = await run('site', 'show', 'osl-20');
    expect([unknown.exit, unknown.err]).toEqual([2, expect.stringContaining('SITE_NOT_FOUND')]);
  });
});

describe('fleet status', () => {
  test('[A43] totals by stream first, then the sites that differ from what is desired', async () => {
    const digest = await project.digest('2.4.0');
    await record('run-1', { sealed: 'promoted' });
    await withRegistry(async (registry) => {
      const report = reportOf('osl-01', { version: '2.4.0', digest });
      await registry.recordReport(
        { ...report, streams: { 'edge-proxy': { ...report.streams['edge-proxy']!, generation: 1 } } },
        NOW,
      );
      await registry.recordReport(reportOf('osl-02', { version: '2.3.0', digest: 'sha256:0' }), NOW - 60_000);
    });
    const { totals, sites } = json(await run('fleet', 'status', '--stream', 'edge-proxy', '--json')) as {
      totals: unknown[];
      sites: { site: string; drift: string }[];
    };
    expect(totals).toEqual([
      {
        stream: 'edge-proxy',
        sites: 4,
        same: 1,
        owed: 1,
        pending: 0,
        ahead: 0,
        unknown: 2,
        undecided: 0,
        owedReverts: 0,
      },
    ]);
    expect(sites.slice(0, 2)).toMatchObject([
      { site: 'osl-02', drift: 'owed', desired: { version: '2.4.0' }, version: '2.3.0' },
      { site: 'osl-03', drift: 'unknown' },
    ]);
    const said = await run('fleet', 'status', '--limit', '1');
    expect(said.out).toMatch(/osl-02 +edge-proxy +2\.3\.0 +confirmed +1m ago +2\.4\.0 +differs/);
    expect(said.out).toMatch(/… and \d more \(--limit 6, or --json\)/);
  });
});

/** A journal of osl-01 with these events; a second one that differs is of another data directory. */
async function told(registry: Registry, ...boots: string[]): Promise<void> {
  const journal = new Journal('osl-01', 1);
  for (const bootId of boots) journal.add('started', { detail: { bootId } });
  const { sequence = 0, hash = '' } = journal.events.at(-1) ?? {};
  const live = { version: '2.4.0', digest: 'sha256:0' };
  const report = reportOf('osl-01', live, { sequence, head: hash, at: NOW - 60_000 + boots.length });
  await registry.recordSiteEvents(report, journal.events, NOW - 40_000);
}

describe('who speaks for a site', () => {
  test('[A43] doubt, a refused agent, a token not used and a retired site stand first in site show and in the fleet', async () => {
    await withRegistry(async (registry) => {
      const live = { version: '2.4.0', digest: 'sha256:0' };
      await told(registry, 'first', 'second');
      const token = { id: 'token-1', expiresAt: NOW + 3_600_000 };
      await registry.replace({ site: 'osl-02', token, by: 'kari', reason: 'new disk' }, NOW - 80_000);
      await registry.recordReport(reportOf('osl-02', live), NOW - 70_000);
      await registry.enrol({ site: 'osl-03', token, by: 'kari', reason: 'new' }, NOW - 60_000);
      await registry.retire({ site: 'rig-01', by: 'ola', reason: 'sold' }, NOW - 50_000);
    });
    const first = async (site: string) => (await run('site', 'show', site)).out.split('\n')[0];
    expect(await first('osl-02')).toMatch(/^an agent is refused since .*: WRONG_EPOCH /);
    expect(await first('osl-03')).toMatch(/^its token of epoch 1 was not used yet, good for 1h/);
    expect(await first('osl-01')).toMatch(/^osl-01 · /);
    const { speakers } = json(await run('fleet', 'status', '--json')) as { speakers: unknown };
    expect(speakers).toEqual({ doubt: [], refused: ['osl-02'], waiting: ['osl-03'] });
    const fleet = await run('fleet', 'status');
    expect(fleet.out).toContain('1 with an agent that is refused, 1 with a token not used yet');
    expect(fleet.out).toMatch(/osl-02 .*an agent is refused since .*: WRONG_EPOCH/);
    expect(await first('rig-01')).toMatch(/^retired at the centre .* by ola: sold/);
    await withRegistry((registry) => told(registry, 'emptied'));
    expect(await first('osl-01')).toMatch(
      /^in doubt since .*given nothing: JOURNAL_FORKED .*next: foothold fleet replace/,
    );
    expect((await run('fleet', 'status')).out).toMatch(/1 in doubt.*\n[^]*\n.*\nosl-01 .*in doubt since/);
  });
});

describe('history', () => {
  test('of a rollout, a stream, a site and a person; from a time; newest first', async () => {
    const rollout = await record('run-1', {});
    await withRegistry(async (registry) => {
      const key = { firstRunId: 'run-1', runId: 'run-1', activityId: '1' };
      const data = { verb: 'pause', by: 'kari', reason: 'storm' };
      await registry.appendEvidence(key, [{ kind: 'verb', data }], NOW - 60_000);
      await registry.appendEvidence(
        { ...key, activityId: '2' },
        [{ kind: 'verb', data: { ...data, verb: 'resume' } }],
        NOW - 1_000,
      );
    });
    await run('freeze', '--until', '8h', '--reason', 'holiday', '--by', 'ola');
    const kinds = async (...argv: string[]): Promise<string[]> => {
      const { entries } = json(await run('history', ...argv, '--json')) as {
        entries: { kind: string; data: { verb?: string } }[];
      };
      return entries.map(({ kind, data }) => data.verb ?? kind);
    };
    expect(await kinds(rollout.label)).toEqual(['resume', 'pause']);
    expect(await kinds('edge-proxy')).toEqual(expect.arrayContaining(['resume', 'pause']));
    expect(await kinds(rollout.label, '--from', '30s')).toEqual(['resume']);
    expect(await kinds('--who', 'ola')).toEqual(['freeze']);
    expect(await kinds('--who', 'nobody')).toEqual([]);
    const narrow = ['--until', '8h', '--reason', 'storm', '--by', 'kari'];
    await run('freeze', '--only', 'id=osl-02', ...narrow);
    expect(await kinds('osl-01')).toEqual(['freeze']);
    expect(await kinds('osl-02')).toEqual(['freeze', 'freeze']);
    expect((await run('history', rollout.label)).out).toMatch(
      /\d\d:\d\d +edge-proxy-2\.4\.0-1 +resume by kari: storm\n\d\d:\d\d +edge-proxy-2\.4\.0-1 +pause by kari: storm\n$/,
    );
    const { more } = json(await run('history', rollout.label, '--limit', '1', '--json')) as { more: boolean };
    expect(more).toBe(true);
    for (const [argv, words] of [
      [['history', 'nowhere'], 'expected a site, a stream or the id of a rollout'],
      [['history', '--from', 'yesterday'], '--from'],
    ] as const) {
      const said = await run(...argv);
      expect([said.exit, said.err]).toEqual([2, expect.stringContaining(words)]);
    }
  });
});

describe('a misspelt name is no good news', () => {
  test.each([
    [['owed', '--site', 'osl-1'], 'did you mean osl-01?'],
    [['owed', 'edge-prox'], 'did you mean edge-proxy?'],
    [['fleet', 'status', '--stream', 'edge-prox'], 'did you mean edge-proxy?'],
    [['fleet', 'status', '--only', 'region=nordik'], 'did you mean nordic?'],
    [['fleet', 'list', '--only', 'region=nordik'], 'did you mean nordic?'],
    [['keys', 'rotate-control', 'begin', '--leave-behind', 'osl-1'], 'did you mean osl-01?'],
  ])('[A49] %j ends with 2 and the nearest name', async (argv, words) => {
    await record('run-1', {});
    const said = await run(...argv);
    expect([said.exit, said.err]).toEqual([2, expect.stringContaining(words)]);
  });

  test('a stream of the fleet that was never rolled out owes nothing', async () => {
    await record('run-1', {});
    const said = await run('owed', 'psk');
    expect([said.exit, said.out]).toEqual([0, expect.stringMatching(/^NOTHING OWED · psk/)]);
    expect((await run('owed', '--site', 'osl-03')).exit).toBe(0);
  });
});

describe('dry runs decide as the real thing does', () => {
  test('nothing to lift ends with 1; a freeze beyond ten years is refused', async () => {
    await record('run-1', {});
    const lift = ['unfreeze', '--reason', 'over', '--dry-run'];
    const none = await run(...lift);
    expect([none.exit, none.out]).toEqual([1, expect.stringContaining('nothing would be lifted')]);
    await run('freeze', '--until', '8h', '--reason', 'storm');
    const one = await run(...lift);
    expect([one.exit, one.out]).toEqual([0, expect.stringMatching(/^would lift\n {2}freeze-1/)]);
    expect((await run('freeze', '--list')).out).toContain('freeze-1');
    for (const until of ['99999999999d', '2999-01-01T00:00:00Z']) {
      const said = await run('freeze', '--until', until, '--reason', 'for ever');
      expect([said.exit, said.err]).toEqual([2, expect.stringContaining('within ten years')]);
    }
  });

  test('[A34] a token for a site that is enrolled, and the epoch of the next one', async () => {
    await withRegistry(async (registry) => {
      const token = { id: 'token-1', expiresAt: NOW + 3_600_000 };
      await registry.enrol({ site: 'osl-01', token, by: 'kari', reason: 'new' }, NOW);
      const enrolment = { tokenId: 'token-1', instance: 'one' };
      await registry.recordReport(reportOf('osl-01', { version: '1', digest: 'sha256:0' }, { enrolment }), NOW);
    });
    const dry = await run('fleet', 'enrol', 'osl-01', '--dry-run');
    expect([dry.exit, dry.err]).toEqual([2, expect.stringContaining('ENROLMENT_USED')]);
    const replaced = json(await run('fleet', 'replace', 'osl-01', '--reason', 'disk', '--dry-run', '--json'));
    expect(replaced).toMatchObject({ epoch: 2, dryRun: true });
    await withRegistry(async (registry) => {
      expect((await registry.identities(['osl-01'])).get('osl-01')).toMatchObject({ epoch: 1, instance: 'one' });
    });
  });
});

test('[A34] history says who enrolled, replaced and retired a site, and who rotated the control keys', async () => {
  await record('run-1', {});
  const by = ['--by', 'kari', '--reason', 'flood'];
  await run('fleet', 'replace', 'osl-01', '-o', 'token.json', ...by);
  await run('fleet', 'retire', 'osl-02', ...by);
  await run('keys', 'rotate-control', 'begin', '--by', 'ola', '--leave-behind', ...SITES);
  expect((await run('history', 'osl-01')).out).toMatch(/osl-01 replaced \(epoch 2\) by kari: flood\n/);
  const kari = (await run('history', '--who', 'kari')).out;
  expect(kari).toMatch(/osl-02 retired by kari: flood\n/);
  expect(kari).not.toContain('control keys');
  expect((await run('history', '--who', 'ola')).out).toMatch(/control keys: keyset \d+, signed by .* by ola\n/);
});

test('fleet list shows what the centre goes by: a later import, and who was retired since', async () => {
  await record('run-1', {});
  await run('fleet', 'retire', 'osl-02', '--reason', 'sold');
  const said = await run('fleet', 'list');
  expect(said.out).toMatch(/osl-02 +retired at the centre/);
  expect(json(await run('fleet', 'list', '--json'))).toMatchObject({ retiredAtCentre: ['osl-02'] });
});

describe('evidence', () => {
  test('[B49] exports a document that verifies anywhere, and one changed byte is found and named', async () => {
    const { label } = await record('run-1', {});
    await withRegistry((registry) =>
      registry.appendEvidence(
        { firstRunId: 'run-1', runId: 'run-1', activityId: '1' },
        ['pause', 'resume'].map((verb) => ({ kind: 'verb', data: { verb, by: 'kari', reason: 'storm' } })),
        NOW,
      ),
    );
    const exported = await run('evidence', 'export', label, '-o', 'e.json');
    expect([exported.exit, exported.out]).toEqual([0, expect.stringContaining(`wrote 2 entries of ${label}`)]);
    const path = join(project.directory(), 'e.json');
    const text = await readFile(path, 'utf8');
    expect((await run('evidence', 'export', label)).out).toBe(text);
    expect((await run('evidence', 'export', label, '-o', 'e.json')).out).toContain('over the file that was there');

    const good = await run('evidence', 'verify', 'e.json');
    expect([good.exit, good.out]).toEqual([0, expect.stringMatching(/^VERIFIED · edge-proxy-2\.4\.0-1 · 2 entries/)]);
    await writeFile(path, text.replace('"resume"', '"revert"'));
    const bad = await run('evidence', 'verify', 'e.json', '--json');
    expect([bad.exit, json(bad)]).toMatchObject([1, { ok: false, code: 'EVIDENCE_BROKEN', index: 1 }]);
    expect((await run('evidence', 'verify', 'e.json')).out).toMatch(/^DOES NOT VERIFY · EVIDENCE_BROKEN · entry 1/);
    await writeFile(path, '{}');
    expect((await run('evidence', 'verify', 'e.json')).exit).toBe(1);
    expect((await run('evidence', 'verify', 'none.json')).exit).toBe(2);
  });
});
