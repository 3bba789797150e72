/** What is live is not made to hang on a disk that has failed, or on one without room for its copy (H3, H4). */
import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Agent } from '../../site/agent.js';
import { directoryRelease, eio, inside, TestSite, until } from './test-site.js';

let site: TestSite;
const target = () => site.path('live', 'conf');
const like = { stream: 'edge-proxy', like: { version: '1.0.0' } };
const MB = 1024 * 1024;

beforeEach(() => {
  site = new TestSite();
  site.write('live/conf/page', 'healthy original');
  site.write('live/conf/deep/large', 'x'.repeat(2 * MB));
  site.publish(directoryRelease(site, '1.0.0'), { 'files/page': 'healthy 1' });
});
afterEach(() => site.clear());

/** Calls `work` before each file of what is live is copied. */
function beforeCopies(agent: Agent, work: () => void): void {
  const { blobs } = inside(agent).holdings;
  const take = blobs.takeFrom.bind(blobs);
  blobs.takeFrom = async (...of) => {
    work();
    return take(...of);
  };
}

function expectUntouched(agent: Agent): void {
  expect(lstatSync(target()).isDirectory()).toBe(true);
  expect(readdirSync(site.path('live'))).toEqual(['conf']);
  expect(inside(agent).store.confirmed('edge-proxy')).toEqual([]);
  expect(inside(agent).store.conversions()).toEqual([]);
}

it('[A32] an adoption is refused while a fault of the disk stands, with nothing copied; once it is mended it is made', async () => {
  const agent = await site.start();
  let copied = 0;
  beforeCopies(agent, () => copied++);
  inside(agent).storage.note(eio(), 'a file');
  await expect(agent.adopt(like)).rejects.toMatchObject({
    code: 'STORAGE_FAULT',
    message: 'a file: EIO: i/o error, fsync',
  });
  expect(copied).toBe(0);
  expectUntouched(agent);
  await agent.mended({ by: 'kari', reason: 'a new disk' });
  await until(() => !(agent as unknown as { busy: boolean }).busy);
  await agent.adopt(like);
  expect(lstatSync(target()).isSymbolicLink()).toBe(true);
  expect(readFileSync(site.path('live', 'conf', 'page'), 'utf8')).toBe('healthy original');
});

it('[A32] so is one under which the disk fails: nothing becomes a symlink to the copy', async () => {
  const agent = await site.start();
  beforeCopies(agent, () => void inside(agent).storage.note(eio(), 'meanwhile'));
  await expect(agent.adopt(like)).rejects.toMatchObject({ code: 'STORAGE_FAULT' });
  expectUntouched(agent);
});

it('[A32] what the disk says to the copy is a fault of the disk', async () => {
  const agent = await site.start();
  beforeCopies(agent, () => {
    throw eio();
  });
  await expect(agent.adopt(like)).rejects.toMatchObject({ code: 'STORAGE_FAULT', message: 'EIO: i/o error, fsync' });
  expect(inside(agent).storage.fault?.detail).toContain('an adoption');
  expectUntouched(agent);
});

it('is refused for want of room before anything is copied', async () => {
  const agent = await site.start();
  let copied = 0;
  beforeCopies(agent, () => copied++);
  const { reserve } = inside(agent).storage;
  // Enough for the release that says where to look, not for a blob and a copy of what is there.
  reserve.free = () => 3 * MB;
  await expect(agent.adopt(like)).rejects.toMatchObject({ code: 'DISK_FULL' });
  expect(copied).toBe(0);
  expectUntouched(agent);
  reserve.free = () => 6 * MB;
  await agent.adopt(like);
  expect(lstatSync(target()).isSymbolicLink()).toBe(true);
});
