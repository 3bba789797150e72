/** A person, or the upgrade of a package, puts a directory or a file where the symlink of a release is. */
import { lstatSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Agent } from '../../site/agent.js';
import { carryOut, directoryRelease, TestSite, until } from './test-site.js';

let site: TestSite;
const kari = { by: 'kari', reason: 'sparks' };
const target = () => site.path('live', 'conf');
const page = () => readFileSync(join(target(), 'page'), 'utf8');

beforeEach(() => {
  site = new TestSite();
  site.write('live/conf/page', 'healthy original');
});
afterEach(() => site.clear());

const release = (n: number, change: Record<string, unknown> = {}) =>
  site.publish(directoryRelease(site, `${n}.0.0`, change), { 'files/page': `healthy ${n}` });

/** 1.0.0 and, live, 2.0.0. */
async function twoReleases(change: Record<string, unknown> = {}): Promise<Agent> {
  const agent = await site.start({ driftEveryMs: 86_400_000 });
  for (const n of [1, 2]) {
    const result = await carryOut(agent, site, site.command(release(n, change), { generation: 2 * n }));
    expect(result).toMatchObject({ result: 'confirmed' });
  }
  return agent;
}

function replace(by: 'directory' | 'file', text: string): void {
  rmSync(target());
  site.write(by === 'directory' ? 'live/conf/page' : 'live/conf', text);
}

/** What was moved aside is there, and the journal says where. */
function movedAside(agent: Agent): string {
  const [told, ...more] = agent.history(100).filter(({ kind }) => kind === 'moved-aside');
  expect(more).toEqual([]);
  expect(told).toMatchObject({ stream: 'edge-proxy', detail: { target: target() } });
  const aside = String(told?.detail['aside']);
  expect(readdirSync(site.path('live')).map((name) => site.path('live', name))).toEqual([aside, target()]);
  return readFileSync(statSync(aside).isDirectory() ? join(aside, 'page') : aside, 'utf8');
}
const always = [{ name: 'ok', exec: ['true'], every: '50ms' }];
const ended = async (agent: Agent) =>
  until(() => agent.history(100).find(({ kind }) => kind === 'reverted' || kind === 'safe-mode'));

describe('a target that was replaced', () => {
  it.each(['directory', 'file'] as const)('by a %s is moved aside by an undo', async (by) => {
    const agent = await twoReleases();
    replace(by, 'sick: of a package');
    expect(await ended(agent)).toMatchObject({ kind: 'reverted', detail: { cause: 'check' } });
    expect(page()).toBe('healthy 1');
    expect(movedAside(agent)).toBe('sick: of a package');
  });

  it('is moved aside where there was nothing before', async () => {
    const agent = await site.start();
    const component = (name: string) => ({
      name,
      driver: { type: 'directory', files: './files', target: site.path('live', name) },
    });
    const of = (n: number, components: object[], change: Record<string, unknown>) =>
      release(n, { driver: undefined, components, ...change });
    site.write('live/other/page', 'adopted');
    rmSync(target(), { recursive: true });
    const one = of(1, [component('other')], { checks: always });
    expect(await carryOut(agent, site, site.command(one))).toMatchObject({ result: 'confirmed' });
    const two = of(2, [component('other'), component('conf')], { alreadySick: 'proceed' });
    expect(await carryOut(agent, site, site.command(two, { generation: 3 }))).toMatchObject({ result: 'confirmed' });
    replace('directory', 'sick: of a package');
    expect(await ended(agent)).toMatchObject({ kind: 'reverted' });
    expect(readdirSync(site.path('live'))).toEqual([expect.stringContaining('.conf.foothold-aside-'), 'other']);
  });

  it.each(['directory', 'directory (moved aside, and then the power failed)'])(
    'by a %s is seen at the next start',
    async (by) => {
      const agent = await twoReleases();
      const three = site.command(release(3, { confirm: { within: '60s', healthyFor: '50s' } }), { generation: 9 });
      await agent.door.accept(site.sign(three));
      await until(() => agent.history(100).at(-1)?.kind === 'watching');
      await agent.stop();
      replace('directory', 'healthy: of a package');
      if (by !== 'directory') renameSync(target(), site.path('live', '.conf.foothold-aside-00000000'));
      const again = await site.start();
      expect(await ended(again)).toMatchObject({ kind: 'reverted', detail: { reason: { code: 'NOT_LIVE' } } });
      expect(page()).toBe('healthy 2');
      if (by === 'directory') expect(movedAside(again)).toBe('healthy: of a package');
    },
  );
});

describe('a target that was replaced while nothing is on trial', () => {
  it('is told by drift, and moved aside by the next converge, whose undo goes back to the release before', async () => {
    const agent = await twoReleases();
    replace('directory', 'healthy: of a package');
    expect((await agent.drift({})).streams['edge-proxy']?.drift?.paths[0]).toMatchObject({
      path: '.',
      detail: expect.stringContaining('is no symlink') as string,
    });
    const three = await carryOut(agent, site, site.command(release(3), { generation: 9 }));
    expect([three.result, page()]).toEqual(['confirmed', 'healthy 3']);
    expect(movedAside(agent)).toBe('healthy: of a package');
    agent.revert('edge-proxy', kari);
    expect(await ended(agent)).toMatchObject({ kind: 'reverted' });
    expect(page()).toBe('healthy 2');
  });

  it.each(['directory', 'file'] as const)('by a %s is not put back by a repair', async (by) => {
    const agent = await twoReleases({ drift: [{ paths: ['**'], then: 'repair' }], checks: always });
    replace(by, 'of a person');
    expect((await agent.drift({})).streams['edge-proxy']?.drift).toMatchObject({
      repair: { result: 'failed', why: expect.stringContaining('is no symlink') as string },
    });
    expect(lstatSync(target()).isSymbolicLink()).toBe(false);
    expect(readdirSync(site.path('live'))).toEqual(['conf']);
  });
});
