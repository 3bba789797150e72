/** A rollout is reverted that reached a site which ran its release already: what an earlier rollout had brought stays (0011). */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { FaultStage, until } from './fault-stage.js';

let stage: FaultStage;
const SITES = ['s1', 's2', 's3'];
const pages = () => SITES.map((site) => stage.livePage(site).trim());

beforeAll(async () => {
  stage = await FaultStage.open({ sites: SITES, settleWithin: '180s' });
  await stage.startDepot();
});
afterAll(() => stage?.close());

it('[A32] a site keeps what an earlier rollout brought it, and nobody owes or moves it afterwards', async () => {
  await stage.startWorker();
  for (const site of SITES) await stage.startSite(site, '--address', stage.temporal.address);
  await until(async () => (await stage.registry.reports(SITES)).size === SITES.length, 'all have reported');
  expect(await stage.sealed(await stage.begin({ version: '1.0.0' }), 90_000)).toMatchObject({ outcome: 'promoted' });
  await stage.publish({ version: '1.1.0', healthyFor: '6s' });
  expect(await stage.foothold(['start', 'relay@1.1.0', 'steps', '--only', 'id=s2'])).toMatchObject({ code: 0 });
  expect(await stage.sealed('relay-1.1.0-1', 90_000)).toMatchObject({ outcome: 'promoted' });
  expect(await stage.foothold(['start', 'relay@1.1.0', 'steps'])).toMatchObject({ code: 0 });
  const watches = async () => {
    const { state, live } = (await stage.statusOf('s3')).streams['relay'] ?? {};
    return state === 'watching' && live?.version === '1.1.0';
  };
  await until(watches, 's3 watches', 90_000);
  const loads = stage.loads('s2');
  stage.makeIll('s3', '1.1.0');
  expect(await stage.sealed('relay-1.1.0-2', 120_000)).toMatchObject({ outcome: 'reverted' });
  // The stage is undone, the one before it stays (`revert-stage`).
  expect(pages()).toEqual(['healthy 1.1.0', 'healthy 1.1.0', 'healthy 1.0.0']);
  const answered = (await stage.journalOf('s2')).findLast(({ kind }) => kind === 'reverted');
  expect(answered?.result).toMatchObject({
    ...{ result: 'reverted', changed: false, live: { version: '1.1.0' } },
    reason: {
      code: 'NOT_LIVE',
      detail: '1.1.0 was live here before relay-1.1.0-2, brought by relay-1.1.0-1: it stays',
    },
  });
  const firstRunId = (await stage.rollout('relay-1.1.0-1'))?.firstRunId;
  expect((await stage.registry.desired('relay', ['s2'])).get('s2')).toMatchObject({
    ...{ firstRunId, release: { version: '1.1.0' } },
  });
  expect(await stage.registry.debts({ stream: 'relay' })).toEqual([]);
  // Nobody else comes for it: the reconciler looks at every report, and there have been several by then.
  await new Promise((resolve) => setTimeout(resolve, 20_000));
  expect([pages(), stage.loads('s2')]).toEqual([['healthy 1.1.0', 'healthy 1.1.0', 'healthy 1.0.0'], loads]);
  expect(await stage.registry.debts({ stream: 'relay' })).toEqual([]);
}, 400_000);
