/** Adoption deletes nothing that it has not copied. */
import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, lstatSync, readdirSync, readFileSync, readlinkSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Agent } from '../../site/agent.js';
import type { SiteContext } from '../../site/context.js';
import { carryOut, directoryRelease, TestSite } from './test-site.js';

let site: TestSite;
const target = () => site.path('live', 'conf');
const like = { stream: 'edge-proxy', like: { version: '1.0.0' } };

beforeEach(() => {
  site = new TestSite();
  site.write('live/conf/page', 'healthy original');
  site.publish(directoryRelease(site, '1.0.0'), { 'files/page': 'healthy 1' });
});
afterEach(() => site.clear());

/** Does `work` once, at that instant of an adoption. */
async function startWith(instant: string, work: () => void): Promise<Agent> {
  let done = false;
  const onStep = (step: string) => {
    if (step !== instant || done) return;
    done = true;
    work();
  };
  return site.start({ onStep });
}
const movedAside = (agent: Agent) => agent.history(100).filter(({ kind }) => kind === 'moved-aside');
const beside = () => readdirSync(site.path('live')).filter((name) => name !== 'conf');

describe('what is written into a target while it is adopted', () => {
  it('stays beside it, and is told', async () => {
    const agent = await startWith('adopt-journaled', () => {
      site.write('live/conf/new/file', 'precious');
      appendFileSync(join(target(), 'page'), ', and more');
      execFileSync('mkfifo', [join(target(), 'pipe')]);
    });
    await agent.adopt(like);
    expect(lstatSync(target()).isSymbolicLink()).toBe(true);
    expect(readFileSync(join(target(), 'page'), 'utf8')).toBe('healthy original');
    const [told, ...more] = movedAside(agent);
    expect(more).toEqual([]);
    const aside = String(told?.detail['aside']);
    expect(told).toMatchObject({
      stream: 'edge-proxy',
      detail: { target: target(), paths: ['new', 'new/file', 'page', 'pipe'], total: 4 },
    });
    expect(beside().map((name) => site.path('live', name))).toEqual([aside]);
    expect(readFileSync(join(aside, 'new', 'file'), 'utf8')).toBe('precious');
    expect(readFileSync(join(aside, 'page'), 'utf8')).toBe('healthy original, and more');
  });

  it('is looked for at the next start, if the adoption was cut short', async () => {
    const agent = await startWith('adopted', () => {
      throw new Error('the power fails');
    });
    await expect(agent.adopt(like)).rejects.toThrow('the power fails');
    const [name = ''] = beside();
    site.write(`live/${name}/late`, 'precious');
    await agent.stop();
    const again = await site.start();
    expect(movedAside(again)).toMatchObject([{ detail: { aside: site.path('live', name), paths: ['late'] } }]);
    expect(readFileSync(site.path('live', name, 'late'), 'utf8')).toBe('precious');
    await again.stop();
    expect(movedAside(await site.start())).toHaveLength(1);
  });

  it('is kept if somebody put a directory there between the two renames', async () => {
    const agent = await startWith('adopt-aside', () => {
      throw new Error('the power fails');
    });
    await expect(agent.adopt(like)).rejects.toThrow('the power fails');
    expect(existsSync(target())).toBe(false);
    site.write('live/conf/page', 'of a person');
    await agent.stop();
    const again = await site.start();
    expect(readFileSync(join(target(), 'page'), 'utf8')).toBe('healthy original');
    expect(movedAside(again)).toHaveLength(1);
    const [only = '', ...more] = beside();
    expect([more, readFileSync(site.path('live', only, 'page'), 'utf8')]).toEqual([[], 'of a person']);
  });

  it('nothing stays, and nothing is told, if nothing was: not for a link that leaves the directory either', async () => {
    site.write('elsewhere', 'x');
    symlinkSync('../../elsewhere', join(target(), 'out'));
    symlinkSync('page', join(target(), 'in'));
    const agent = await site.start();
    await agent.adopt(like);
    expect([beside(), movedAside(agent)]).toEqual([[], []]);
    expect(readFileSync(join(target(), 'out'), 'utf8')).toBe('x');
  });
});

it('[A32] a conversion whose end the disk did not take puts the copy in the place of no later release', async () => {
  const agent = await site.start();
  await agent.adopt(like);
  const { store } = (agent as unknown as { context: SiteContext }).context;
  const link = readlinkSync(target());
  // As it is left where the books could not be written after the symlink was made.
  store.putConversion({ stream: 'edge-proxy', target: target(), link, aside: join(site.path('live'), '.conf.aside') });
  const one = site.publish(directoryRelease(site, '1.0.0'), { 'files/page': 'healthy 1' });
  expect(await carryOut(agent, site, site.command(one))).toMatchObject({ result: 'confirmed' });
  await agent.stop();
  const again = await site.start();
  expect(readFileSync(join(target(), 'page'), 'utf8')).toBe('healthy 1');
  expect(again.history(10).at(-1)).toMatchObject({ kind: 'started' });
});

describe('a pipe or socket in a target', () => {
  it('is named, and nothing is adopted or switched', async () => {
    execFileSync('mkfifo', [join(target(), 'pipe')]);
    const agent = await site.start();
    await expect(agent.adopt(like)).rejects.toMatchObject({
      code: 'LKG_MISSING',
      message: expect.stringContaining(`${join(target(), 'pipe')} is a socket`) as string,
    });
    const one = site.publish(directoryRelease(site, '1.0.0'), { 'files/page': 'healthy 1' });
    expect(await carryOut(agent, site, site.command(one))).toMatchObject({
      result: 'rejected',
      reason: { code: 'LKG_MISSING' },
    });
    expect(readdirSync(target()).sort()).toEqual(['page', 'pipe']);
  });
});
