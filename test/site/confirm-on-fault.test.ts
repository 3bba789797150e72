/** A disk that has failed once may have lost what was written: nothing on trial is confirmed until a person has mended it (H4). */
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Agent } from '../../site/agent.js';
import type { SiteContext } from '../../site/context.js';
import { directoryRelease, resultOf, TestSite, until } from './test-site.js';

let site: TestSite;
const page = () => readFileSync(site.path('live', 'conf', 'page'), 'utf8');

beforeEach(() => {
  site = new TestSite();
  site.write('live/conf/page', 'healthy original');
});
afterEach(() => site.clear());

function failDisk(agent: Agent): void {
  const { storage } = (agent as unknown as { context: SiteContext }).context;
  storage.note(Object.assign(new Error('EIO: i/o error, fsync'), { code: 'EIO' }), 'a file');
}

/** 1.0.0 on trial, healthy, on a disk that has failed since the switch. */
async function onTrial(agent: Agent, change: Record<string, unknown> = {}) {
  const confirm = { within: '10s', healthyFor: '200ms' };
  const one = site.publish(directoryRelease(site, '1.0.0', { confirm, ...change }), { 'files/page': 'healthy 1' });
  const command = site.command(one);
  await agent.door.accept(site.sign(command));
  await until(() => agent.history(50).some(({ kind }) => kind === 'watching'));
  failDisk(agent);
  return async () => resultOf(await agent.door.observe(command.id, AbortSignal.timeout(8_000), () => undefined));
}
const state = async (agent: Agent) => (await agent.report()).streams['edge-proxy']?.state;
const kari = { by: 'kari', reason: 'a new disk' };

it('[A32] it waits however healthy it is, and is confirmed once a person has mended the disk', async () => {
  const agent = await site.start();
  const result = await onTrial(agent);
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  expect([await state(agent), page()]).toEqual(['watching', 'healthy 1']);
  await agent.mended(kari);
  expect(await result()).toMatchObject({ result: 'confirmed', changed: true });
});

it('so does one without checks: nothing else would look at it before its deadline', async () => {
  const agent = await site.start();
  const result = await onTrial(agent, { checks: 'none', because: 'nothing here can be measured' });
  await new Promise((resolve) => setTimeout(resolve, 600));
  expect(await state(agent)).toBe('watching');
  const mendedAt = performance.now();
  await agent.mended(kari);
  expect(await result()).toMatchObject({ result: 'confirmed' });
  expect(performance.now() - mendedAt).toBeLessThan(3_000);
});

it('[A32] an error while everything is read back is not forgotten with the one before: the person is refused, and asked again', async () => {
  const agent = await site.start();
  const result = await onTrial(agent);
  const mended = agent.mended(kari);
  failDisk(agent);
  await expect(mended).rejects.toMatchObject({
    code: 'STORAGE_FAULT',
    message: expect.stringMatching(/once more .* a file: EIO/) as string,
  });
  await new Promise((resolve) => setTimeout(resolve, 600));
  expect([await state(agent), (await agent.report()).storage?.fault?.code]).toEqual(['watching', 'STORAGE_FAULT']);
  expect(agent.history(50).map(({ kind }) => kind)).not.toContain('storage-mended');
  await agent.mended(kari);
  expect(await result()).toMatchObject({ result: 'confirmed' });
});

it('[A32] its deadline undoes it, and the words name the fault; a restart ends neither', async () => {
  const first = await site.start();
  const within = { confirm: { within: '3s', healthyFor: '200ms' } };
  await onTrial(first, within);
  await first.stop();
  const agent = await site.start();
  const event = await until(() => agent.history(50).findLast(({ kind }) => kind === 'reverted'));
  expect(event.result).toMatchObject({
    ...{ result: 'reverted', cause: 'deadline' },
    reason: { code: 'DEADLINE_PASSED', detail: expect.stringContaining('EIO: i/o error, fsync') as string },
  });
  expect(page()).toBe('healthy original');
});
