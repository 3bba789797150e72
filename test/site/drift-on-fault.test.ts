/** A disk that has failed once may lose what a repair writes: nothing is put back until a person has mended it (H4). */
import { existsSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Agent } from '../../site/agent.js';
import { carryOut, directoryRelease, eio, inside, TestSite } from './test-site.js';

let site: TestSite;
beforeEach(() => {
  site = new TestSite();
  site.write('live/conf/page', 'healthy original');
});
afterEach(() => site.clear());

const live = (...path: string[]): string => site.path('live', 'conf', ...path);
const page = () => readFileSync(live('page'), 'utf8');
const drift = async (agent: Agent) => (await agent.drift({})).streams['edge-proxy']?.drift;

/** 1.0.0 confirmed; its page was written to by hand, and is to be put back. A reload leaves a file. */
async function drifted(): Promise<{ agent: Agent; target: string }> {
  const agent = await site.start({ driftEveryMs: 86_400_000 });
  const reload = ['sh', '-c', `echo reloaded >> ${site.path('reloads')}`];
  const driver = { type: 'directory', files: './files', target: live(), reload };
  const rules = [{ paths: ['page'], then: 'repair' }];
  const one = site.publish(directoryRelease(site, '1.0.0', { driver, drift: rules }), {
    'files/page': 'healthy 1',
    'files/kept': 'x',
  });
  expect(await carryOut(agent, site, site.command(one))).toMatchObject({ result: 'confirmed' });
  writeFileSync(live('page'), 'healthy by hand');
  writeFileSync(live('kept'), 'by hand');
  writeFileSync(site.path('reloads'), '');
  return { agent, target: readlinkSync(live()) };
}

function expectUntouched(target: string): void {
  expect([readlinkSync(live()), page()]).toEqual([target, 'healthy by hand']);
  expect(readFileSync(site.path('reloads'), 'utf8')).toBe('');
}

it('[A32] [A46] drift is told and not put back while the fault stands, and is put back once a person has mended the disk', async () => {
  const { agent, target } = await drifted();
  inside(agent).storage.note(eio(), 'a file');
  const repair = { result: 'waits', why: 'STORAGE_FAULT: a file: EIO: i/o error, fsync' };
  expect(await drift(agent)).toMatchObject({ total: 2, repair });
  expectUntouched(target);
  await agent.mended({ by: 'kari', reason: 'a new disk' });
  expect(await drift(agent)).toMatchObject({ repair: { result: 'repaired' } });
  expect([page(), existsSync(site.path('reloads'))]).toEqual(['healthy 1', true]);
});

it('[A32] a disk that fails while the repair is made ready is asked about once more before the switch', async () => {
  const { agent, target } = await drifted();
  const { holdings, storage } = inside(agent);
  const stage = holdings.stageTrees.bind(holdings);
  holdings.stageTrees = async (...of) => {
    storage.note(eio(), 'meanwhile');
    return stage(...of);
  };
  await drift(agent);
  expectUntouched(target);
});

it('[A32] what the disk says to a repair is a fault of the disk, not only a repair that failed', async () => {
  const { agent, target } = await drifted();
  const { holdings, storage } = inside(agent);
  holdings.stageTrees = async () => Promise.reject(eio());
  expect(await drift(agent)).toMatchObject({ repair: { result: 'failed', why: 'EIO: i/o error, fsync' } });
  expect(storage.fault?.detail).toContain('putting drift back');
  expectUntouched(target);
});

it('[A32] so is what it says to the copy of what is live that a repair keeps', async () => {
  const { agent, target } = await drifted();
  const { holdings, storage } = inside(agent);
  holdings.blobs.takeFrom = async () => Promise.reject(eio());
  await drift(agent);
  expect(storage.fault?.detail).toContain('what is live');
  expectUntouched(target);
});
