import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { blobPath } from '../../policies/model/depot.js';
import { sha256Hex } from '../../policies/signing/jcs.js';
import type { Agent } from '../../site/agent.js';
import { judgeDigests } from '../../site/scrub/known-answers.js';
import { scrub } from '../../site/scrub/scrub.js';
import { carryOut, controllerRelease, directoryRelease, inside, TestSite, until } from './test-site.js';

let site: TestSite;
const page = () => readFileSync(site.path('live', 'conf', 'page'), 'utf8');
const hurry = { goOn: () => true, hurry: true };

beforeEach(() => {
  site = new TestSite();
  site.write('live/conf/page', 'healthy original');
});
afterEach(() => site.clear());

/** Releases 1.0.0 and, live, 2.0.0. */
async function twoReleases(): Promise<Agent> {
  const agent = await site.start();
  for (const n of [1, 2]) {
    const one = site.publish(directoryRelease(site, `${n}.0.0`), { 'files/page': `healthy ${n}` });
    expect(await carryOut(agent, site, site.command(one, { generation: 2 * n }))).toMatchObject({
      result: 'confirmed',
    });
  }
  return agent;
}

/** Where the release lies whose page says `text`. */
function pageOf(agent: Agent, version: string): string {
  const held = inside(agent)
    .store.allHeld()
    .find((one) => one.version === version);
  const [component = ''] = Object.keys(held?.trees ?? {});
  return join(inside(agent).holdings.directory(held?.root ?? '', component), 'page');
}
const blobOf = (text: string) => join(site.data, 'blobs', sha256Hex(text).slice(0, 2), sha256Hex(text));
const kinds = (agent: Agent) => agent.history(100).map((event) => event.kind);

describe('the scrub', () => {
  it('[B11] H8: a last-known-good that rotted is made anew from its blobs, and can be gone back to', async () => {
    const agent = await twoReleases();
    writeFileSync(pageOf(agent, '1.0.0'), 'healthy 0');
    expect(await scrub(inside(agent), hurry)).toMatchObject({ healed: 1, damaged: [] });
    expect(readFileSync(pageOf(agent, '1.0.0'), 'utf8')).toBe('healthy 1');
    expect(kinds(agent).slice(-3)).toEqual(['damage-found', 'damage-healed', 'scrubbed']);
    agent.revert('edge-proxy', { by: 'kari', reason: 'sparks' });
    await until(() => page() === 'healthy 1');
  });

  it('[B11] H8: with its blob rotted as well it is fetched from the depot again', async () => {
    const agent = await twoReleases();
    writeFileSync(pageOf(agent, '1.0.0'), 'healthy 0');
    writeFileSync(blobOf('healthy 1'), 'healthy X');
    expect(await scrub(inside(agent), hurry)).toMatchObject({ healed: 1, damaged: [] });
    expect(readFileSync(pageOf(agent, '1.0.0'), 'utf8')).toBe('healthy 1');
    expect(agent.history(100).find((event) => event.kind === 'damage-healed')?.detail).toMatchObject({
      from: 'refetch',
    });
  });

  it('[B11] H8: with the depot gone too it is told, in the journal, the report and the metrics; no converge begins', async () => {
    const agent = await twoReleases();
    writeFileSync(pageOf(agent, '2.0.0'), 'healthy 0');
    writeFileSync(pageOf(agent, '1.0.0'), 'healthy 0');
    for (const text of ['healthy 1', 'healthy 2']) {
      writeFileSync(blobOf(text), 'healthy X');
      rmSync(join(site.depot, blobPath(`sha256:${sha256Hex(text)}`)));
    }
    const { depot } = inside(agent);
    inside(agent).depot = { ...depot, blob: async () => Promise.reject(new TypeError('the depot is gone')) };
    const round = await scrub(inside(agent), hurry);
    expect(round?.damaged).toMatchObject([
      { version: '1.0.0', live: false },
      { version: '2.0.0', live: true },
    ]);
    expect((await agent.report()).storage?.damaged).toEqual(round?.damaged);
    expect(await agent.metricsText()).toContain('foothold_damaged_releases{site="osl-01"} 2');
    // The live release is what a next switch would have to go back to.
    inside(agent).depot = depot;
    const next = site.publish(directoryRelease(site, '3.0.0'), { 'files/page': 'healthy 3' });
    expect(await carryOut(agent, site, site.command(next, { generation: 9 }))).toMatchObject({
      result: 'rejected',
      reason: { code: 'LKG_MISSING' },
    });
  });

  it('takes a rotted blob from a directory that still has it', async () => {
    const agent = await twoReleases();
    writeFileSync(blobOf('healthy 2'), 'healthy X');
    expect(await scrub(inside(agent), hurry)).toMatchObject({ damaged: [] });
    expect(readFileSync(blobOf('healthy 2'), 'utf8')).toBe('healthy 2');
  });

  it('comes by itself, gives way to a change, and is told once a round', async () => {
    const agent = await site.start({ scrubEveryMs: 100 });
    await until(() => kinds(agent).filter((kind) => kind === 'scrubbed').length >= 2);
    expect((await agent.report()).storage?.scrubbedAt).toBeGreaterThan(Date.now() - 10_000);
    expect(await scrub(inside(agent), { goOn: () => false, hurry: true })).toMatchObject({ read: 0 });
    const one = site.publish(directoryRelease(site, '1.0.0'), { 'files/page': 'healthy 1' });
    await carryOut(agent, site, site.command(one));
    expect(await scrub(inside(agent), { goOn: () => false, hurry: true })).toBeUndefined();
    expect(readdirSync(site.data)).toContain('reserve');
  });
});

it('[A32] H4: a blob that could not be made durable as it was taken again is a fault of the disk', async () => {
  const agent = await twoReleases();
  rmSync(blobOf('healthy 2'));
  const { holdings, storage } = inside(agent);
  holdings.blobs.takeFrom = async () => {
    throw Object.assign(new Error('EIO: i/o error, fsync'), { code: 'EIO', syscall: 'fsync' });
  };
  await scrub(inside(agent), hurry);
  expect(storage.fault?.detail).toContain('EIO: i/o error, fsync');
});

it('[B11] H8: a round that is ended takes what it has not read for no damage, whatever may go on a moment later', async () => {
  const agent = await twoReleases();
  let asked = 0;
  await scrub(inside(agent), { goOn: () => (asked++, true), hurry: true });
  for (let at = 1; at <= asked; at++) {
    let n = 0;
    expect(await scrub(inside(agent), { goOn: () => ++n !== at, hurry: true })).toBeUndefined();
  }
  expect(asked).toBeGreaterThan(6);
  expect(kinds(agent)).not.toContain('damage-found');
});

const faulty = () => writeFileSync(join(site.data, 'storage-fault.json'), '{"code":"STORAGE_FAULT"}');
const drifted = async (agent: Agent, stream: string) => (await agent.drift({})).streams[stream]?.drift?.paths;

describe('the scrub of what is live', () => {
  it('[B11] H8: leaves a file that rotted in its directory to drift, which tells of it without a `drift:` in the release', async () => {
    const agent = await twoReleases();
    writeFileSync(pageOf(agent, '2.0.0'), 'healthy 0');
    expect(await scrub(inside(agent), hurry)).toMatchObject({ healed: 0, damaged: [] });
    expect([page(), kinds(agent)]).toEqual(['healthy 0', expect.not.arrayContaining(['damage-found'])]);
    expect(await drifted(agent, 'edge-proxy')).toMatchObject([{ path: 'page', kind: 'changed', policy: 'alert' }]);
    // The next undo goes back to whole files all the same.
    const three = site.publish(directoryRelease(site, '3.0.0'), { 'files/page': 'healthy 3' });
    await carryOut(agent, site, site.command(three, { generation: 9 }));
    agent.revert('edge-proxy', { by: 'kari', reason: 'sparks' });
    await until(() => page() === 'healthy 2');
  });

  it('[B11] H8: leaves it to drift as well where programs run in that directory', async () => {
    site.write('state', 'healthy original');
    const agent = await site.start();
    await carryOut(agent, site, site.command(controllerRelease(site, 1)));
    const { holdings, store } = inside(agent);
    const directory = holdings.directory(store.confirmed('relay')[0]?.root ?? '', 'main');
    writeFileSync(join(directory, 'written-by-a-program'), '');
    expect(await drifted(agent, 'relay')).toEqual([]);
    writeFileSync(join(directory, 'ctl'), '#!/bin/sh');
    expect(await scrub(inside(agent), hurry)).toMatchObject({ healed: 0, damaged: [] });
    expect(await drifted(agent, 'relay')).toMatchObject([{ component: 'main', path: 'ctl', kind: 'changed' }]);
  });

  it('[B11] H8: fetches its blobs again where no directory has them whole, and moves nothing', async () => {
    const agent = await twoReleases();
    const target = readlinkSync(site.path('live', 'conf'));
    writeFileSync(pageOf(agent, '2.0.0'), 'healthy 0');
    rmSync(blobOf('healthy 2'));
    expect(await scrub(inside(agent), hurry)).toMatchObject({ healed: 1, damaged: [] });
    expect(readFileSync(blobOf('healthy 2'), 'utf8')).toBe('healthy 2');
    expect([readlinkSync(site.path('live', 'conf')), page()]).toEqual([target, 'healthy 0']);
    expect(inside(agent).holdings.directory(inside(agent).store.confirmed('edge-proxy')[0]?.root ?? '')).toBe(
      join(target, '..'),
    );
  });

  it('a path where drift is accepted is no damage, and a disk can be called mended', async () => {
    const agent = await site.start();
    const accepting = directoryRelease(site, '1.0.0', { drift: [{ paths: ['cache', 'cache/**'], then: 'accept' }] });
    await carryOut(agent, site, site.command(site.publish(accepting, { 'files/page': 'healthy 1' })));
    site.write('live/conf/cache/entry', 'warm');
    expect(await scrub(inside(agent), hurry)).toMatchObject({ healed: 0, damaged: [] });
    expect(await drifted(agent, 'edge-proxy')).toEqual([]);
    await agent.stop();
    faulty();
    const again = await site.start();
    await again.mended({ by: 'kari', reason: 'a new disk' });
    const two = site.publish(directoryRelease(site, '2.0.0'), { 'files/page': 'healthy 2' });
    expect(await carryOut(again, site, site.command(two, { generation: 3 }))).toMatchObject({ result: 'confirmed' });
  });
});

describe('the scrub of what undos go back to', () => {
  it('[B11] H8: tells of rotten saved state, which nothing can make anew', async () => {
    site.write('state', 'healthy original');
    const agent = await site.start();
    for (const n of [1, 2]) {
      const command = site.command(controllerRelease(site, n), { generation: 2 * n });
      expect(await carryOut(agent, site, command)).toMatchObject({ result: 'confirmed' });
    }
    expect(await scrub(inside(agent), hurry)).toMatchObject({ healed: 0, damaged: [] });
    const point = inside(agent).store.confirmed('relay')[0]?.undo['main'];
    writeFileSync(point?.kind === 'saved' ? point.path : '', 'healthy 0');
    const damaged = [{ stream: 'relay', version: '2.0.0', live: true, undo: 'main' }];
    expect(await scrub(inside(agent), hurry)).toMatchObject({ healed: 0, damaged });
    expect(agent.history(2)).toMatchObject([{ kind: 'damage-found', detail: damaged[0] }, { kind: 'scrubbed' }]);
    expect((await agent.report()).storage?.damaged).toMatchObject(damaged);
    expect(await agent.metricsText()).toContain('foothold_damaged_releases{site="osl-01"} 1');
    // The next release saves anew: it must not have to wait for what nobody can mend.
    await agent.stop();
    faulty();
    const again = await site.start();
    await again.mended({ by: 'kari', reason: 'a new disk' });
    const three = site.command(controllerRelease(site, 3), { generation: 9 });
    expect(await carryOut(again, site, three)).toMatchObject({ result: 'confirmed' });
  });

  it('[B11] H8: makes a directory anew that only an undo still names', async () => {
    const agent = await twoReleases();
    const { holdings, store } = inside(agent);
    const live = store.confirmed('edge-proxy')[0];
    const point = live?.undo['main'];
    if (!live || point?.kind !== 'link' || point.tree === undefined) throw new Error('expected an undo by a link');
    const only = holdings.directory(
      await holdings.stageTrees('edge-proxy/older', new Map([['main', store.tree(point.tree) ?? []]])),
      'main',
    );
    store.transact(() => store.putHeld({ ...live, undo: { main: { ...point, to: only } } }));
    writeFileSync(join(only, 'page'), 'healthy 0');
    expect(await scrub(inside(agent), hurry)).toMatchObject({ healed: 1, damaged: [] });
    expect(kinds(agent).slice(-3)).toEqual(['damage-found', 'damage-healed', 'scrubbed']);
    const healed = store.confirmed('edge-proxy')[0]?.undo['main'];
    expect(readFileSync(join(healed?.kind === 'link' ? (healed.to ?? '') : '', 'page'), 'utf8')).toBe('healthy 1');
    expect(await scrub(inside(agent), hurry)).toMatchObject({ healed: 0, damaged: [] });
  });

  it('tells once of a directory that is also that of a kept release', async () => {
    const agent = await twoReleases();
    writeFileSync(pageOf(agent, '1.0.0'), 'healthy 0');
    expect(await scrub(inside(agent), hurry)).toMatchObject({ healed: 1, damaged: [] });
    expect(kinds(agent).filter((kind) => kind === 'damage-found')).toHaveLength(1);
    const point = inside(agent).store.confirmed('edge-proxy')[0]?.undo['main'];
    expect(point?.kind === 'link' && point.to && readFileSync(join(point.to, 'page'), 'utf8')).toBe('healthy 1');
  });
});

describe('H9: a machine that computes wrongly', () => {
  const right = { sha256: (text: string) => createHash('sha256').update(text).digest('hex') };
  it('is found by known answers, and heals nothing', () => {
    expect(() => judgeDigests()).not.toThrow();
    expect(() => judgeDigests({ ...right, verify: () => true })).toThrow('wrongly');
    expect(() => judgeDigests({ ...right, verify: () => false })).toThrow('wrongly');
    expect(() => judgeDigests({ sha256: () => 'f'.repeat(64), verify: (message) => message[0] === 0x72 })).toThrow(
      'wrongly',
    );
  });
});
