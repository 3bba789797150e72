/** What a returning site is kept from, and by what: a freeze, its own quarantine, a newer release. On a real server. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { catchUpId } from '../../policies/model/debt.js';
import type { Fate } from '../faults/site.js';
import { CatchUpStage } from './catch-up-stage.js';

let stage: CatchUpStage;
beforeAll(async () => {
  stage = await CatchUpStage.open();
}, 120_000);
afterAll(async () => {
  await stage.close();
});

const quiet = () => new Promise((resolve) => setTimeout(resolve, 2_500));

/** 2.0.0 is promoted at `a` and `c`; `b` was dark, and is as `its` says. */
async function promotedWithout(stream: string, its: { fates?: Record<string, Fate>; watchMs?: number } = {}) {
  await stage.publish(stream, '1.0.0', '2.0.0', '3.0.0');
  stage.addSite(`${stream}-a`, stream, { live: '1.0.0', risk: 'low' });
  const b = stage.addSite(`${stream}-b`, stream, { live: '1.0.0', ...its });
  stage.addSite(`${stream}-c`, stream, { live: '1.0.0' });
  await stage.up(`${stream}-a`, `${stream}-c`);
  expect(await stage.rollOut(stream, '2.0.0')).toMatchObject({ outcome: 'promoted' });
  return b;
}

describe('a site that returns during a freeze', () => {
  it('[A45] is not commanded before the freeze ends, and then without anyone doing anything', async () => {
    const stream = 'frozen';
    await promotedWithout(stream);
    const until = Date.now() + 9_000;
    await stage.registry.putFreeze({ by: 'kari', reason: 'market day', at: Date.now(), until });
    await stage.up(`${stream}-b`);
    await stage.until(async () => (await stage.registry.reports([`${stream}-b`])).size > 0, 'its report');
    await quiet();
    expect(stage.commands(`${stream}-b`)).toEqual([]);
    expect(await stage.batches(stream)).toEqual([]);
    const reconciler = await stage.client.workflow.getHandle(catchUpId(stream)).describe();
    expect(reconciler.status.name).toBe('RUNNING');
    await stage.until(() => stage.live(`${stream}-b`) === '2.0.0', 'the release, once the freeze is over', 30_000);
    const first = stage.sites.get(`${stream}-b`)?.books.log.find((entry) => entry.kind === 'command');
    expect(first?.at).toBeGreaterThanOrEqual(until);
  });
});

describe('a site that has the desired release in quarantine', () => {
  it('[A19] is not commanded by the reconciler until a person allows the release there', async () => {
    const stream = 'sick';
    const b = await promotedWithout(stream);
    const digest = stage.digestOf(stream, '2.0.0');
    b.books.quarantine.push({ stream, version: '2.0.0', digest, code: 'CHECK_FAILED', at: Date.now() });
    // Another that returns with it is not kept from anything.
    stage.addSite(`${stream}-d`, stream, { live: '1.0.0' });
    await stage.up(`${stream}-b`, `${stream}-d`);
    await stage.until(() => stage.live(`${stream}-d`) === '2.0.0', 'the release at the other');
    await stage.sweep();
    await quiet();
    expect(stage.commands(`${stream}-b`)).toEqual([]);
    await stage.registry.allow(stream, digest, `${stream}-b`, 'kari', 'mended', Date.now());
    await stage.sweep();
    await stage.until(() => stage.live(`${stream}-b`) === '2.0.0', 'the release that was allowed');
    expect(stage.commands(`${stream}-b`)).toEqual(['converge 2.0.0']);
    expect(stage.commands(`${stream}-d`)).toEqual(['converge 2.0.0']);
  });
});

describe('a batch that is open when a newer release is promoted', () => {
  it('[A19] gives way, and neither its site nor one that returns later ever goes back to the older one', async () => {
    const stream = 'older';
    await promotedWithout(stream, { watchMs: 6_000 });
    stage.addSite(`${stream}-d`, stream, { live: '1.0.0' });
    await stage.up(`${stream}-b`);
    await stage.until(() => stage.commands(`${stream}-b`).length > 0, 'the command of the batch');
    expect(await stage.rollOut(stream, '3.0.0')).toMatchObject({ outcome: 'promoted' });
    const [batch] = await stage.batches(stream);
    expect(batch).toMatchObject({ outcome: 'aborted', reason: { code: 'SUPERSEDED' } });
    await stage.up(`${stream}-d`);
    const ids = ['a', 'b', 'c', 'd'].map((id) => `${stream}-${id}`);
    await stage.until(() => ids.every((id) => stage.live(id) === '3.0.0'), 'the newer release everywhere');
    await stage.sweep();
    await quiet();
    for (const id of ids) expect(stage.live(id)).toBe('3.0.0');
    expect(stage.commands(`${stream}-d`)).toEqual(['converge 3.0.0']);
    expect(stage.commands(`${stream}-b`).filter((line) => line === 'converge 2.0.0')).toHaveLength(1);
    expect(await stage.registry.debts({ stream })).toEqual([]);
  });
});
