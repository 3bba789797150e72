/** Files that travel ahead, with real processes from one end to the other: signed wish, site, depot, report, evidence. */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { strategyFile } from './fault-files.js';
import { FaultStage, until } from './fault-stage.js';

const [FIRST, DARK] = ['osl-01', 'osl-02'];
let stage: FaultStage;
beforeAll(async () => {
  stage = await FaultStage.open({ sites: [FIRST, DARK], settleWithin: '120s' });
  const fleet = readFileSync(join(stage.project, 'fleet.yaml'), 'utf8');
  stage.write('fleet.yaml', fleet.replace('heartbeat: 5s', 'heartbeat: 5s, bandwidth: 2Mbit'));
  stage.write('strategies/ahead.yaml', strategyFile('ahead').replace('owner: on-call', 'owner: on-call\nprefetch: 1h'));
  await stage.startDepot();
  await stage.startWorker();
  await stage.startSite(FIRST);
  await until(async () => (await stage.registry.reports([FIRST])).size === 1, 'it has reported');
});
afterAll(() => stage.close());

test('sites have the files before anybody is switched, a dark one once it is back, and evidence counts them', async () => {
  const label = await stage.begin({ version: '1.0.0' }, 'ahead');
  const stream = (await stage.rollout(label))?.stream ?? '';
  const holds = async (site: string) =>
    (await stage.registry.reports([site])).get(site)?.report.streams[stream]?.prefetched?.whole === true;
  await until(() => holds(FIRST), 'the first site tells that it has the files');
  const status = await stage.foothold(['status', label]);
  expect(status.stdout).toMatch(
    /^PREFETCHING until .*files travel to 2 sites · no site has been changed; promote begins now/,
  );
  expect((await stage.foothold(['explain', label])).stdout).toContain(`foothold promote ${label} --reason …`);
  expect((await stage.foothold(['fleet', 'status'])).stdout).toContain('has the files of 1.0.0');
  await stage.startSite(DARK);
  await until(() => holds(DARK), 'the site that was dark has them too');
  expect([...stage.loads(FIRST), ...stage.loads(DARK)]).not.toContain('1.0.0');
  // From here on nobody can fetch anything any more.
  rmSync(join(stage.project, 'depot'), { recursive: true });
  const promoted = await stage.foothold(['promote', label, '--reason', 'they have them']);
  expect([promoted.code, promoted.stderr]).toEqual([0, '']);
  expect((await stage.sealed(label)).outcome).toBe('promoted');
  for (const site of [FIRST, DARK]) expect(stage.loads(site).filter((loaded) => loaded === '1.0.0')).toHaveLength(1);
  expect((await stage.verified(label)).ok).toBe(true);
  const entries = await stage.registry.evidence((await stage.rollout(label))?.firstRunId ?? '');
  const said = entries.filter(({ kind }) => kind.startsWith('prefetch')).map(({ kind, data }) => ({ kind, data }));
  expect(said).toEqual([
    { kind: 'prefetch', data: { within: 3_600_000, sites: 2 } },
    {
      kind: 'prefetched',
      data: { end: 'promoted', by: 'tester', why: 'they have them', sites: 2, whole: 2, underWay: 0 },
    },
  ]);
});
