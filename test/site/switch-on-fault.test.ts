/** A disk that fails between the staging and the switch of a release is asked about once more before what is live is touched (H4). */
import { lstatSync, readFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Agent } from '../../site/agent.js';
import type { Step } from '../../site/context.js';
import { carryOut, directoryRelease, eio, inside, TestSite } from './test-site.js';

let site: TestSite;
const live = () => site.path('live', 'conf');
const page = () => readFileSync(site.path('live', 'conf', 'page'), 'utf8');
const refused = { result: 'rejected', changed: false, reason: { code: 'STORAGE_FAULT' } };

beforeEach(() => {
  site = new TestSite();
  site.write('live/conf/page', 'healthy original');
});
afterEach(() => site.clear());

it('[A32] while its `before` runs: nothing is switched', async () => {
  let faulty = false;
  const onStep = (step: Step) => {
    if (step === 'before-done' && faulty) inside(agent).storage.note(eio(), 'meanwhile');
  };
  const agent: Agent = await site.start({ onStep });
  const one = site.publish(directoryRelease(site, '1.0.0'), { 'files/page': 'healthy 1' });
  expect(await carryOut(agent, site, site.command(one))).toMatchObject({ result: 'confirmed' });
  faulty = true;
  const before = { exec: ['true'], timeout: '5s' };
  const two = site.publish(directoryRelease(site, '2.0.0', { before }), { 'files/page': 'healthy 2' });
  expect(await carryOut(agent, site, site.command(two, { generation: 3 }))).toMatchObject(refused);
  expect(page()).toBe('healthy 1');
});

it('[A32] while what is live is copied for its first release: the directory stays as it is', async () => {
  const agent = await site.start();
  const { blobs } = inside(agent).holdings;
  const take = blobs.takeFrom.bind(blobs);
  blobs.takeFrom = async (...of) => {
    inside(agent).storage.note(eio(), 'meanwhile');
    return take(...of);
  };
  const one = site.publish(directoryRelease(site, '1.0.0'), { 'files/page': 'healthy 1' });
  expect(await carryOut(agent, site, site.command(one))).toMatchObject(refused);
  expect([lstatSync(live()).isDirectory(), page()]).toEqual([true, 'healthy original']);
  expect(inside(agent).store.confirmed('edge-proxy')).toEqual([]);
});

it('[A32] while the live directory of a new component is copied: it stays as it is', async () => {
  site.write('live/more/page', 'adopted');
  const agent = await site.start();
  const component = (name: string) => ({
    name,
    driver: { type: 'directory', files: './files', target: site.path('live', name) },
  });
  const of = (version: string, names: string[]) => {
    const change = { driver: undefined, components: names.map(component), alreadySick: 'proceed' };
    return site.publish(directoryRelease(site, version, change), { 'files/page': 'healthy' });
  };
  expect(await carryOut(agent, site, site.command(of('1.0.0', ['conf'])))).toMatchObject({ result: 'confirmed' });
  const { blobs } = inside(agent).holdings;
  const take = blobs.takeFrom.bind(blobs);
  blobs.takeFrom = async (...taken) => {
    inside(agent).storage.note(eio(), 'meanwhile');
    return take(...taken);
  };
  const two = site.command(of('2.0.0', ['conf', 'more']), { generation: 3 });
  expect(await carryOut(agent, site, two)).toMatchObject(refused);
  expect(lstatSync(site.path('live', 'more')).isDirectory()).toBe(true);
});
