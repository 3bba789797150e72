/** `foothold agent revert` beside what else undoes: the real agent over its socket, no network. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Agent } from '../../site/agent.js';
import { carryOut, directoryRelease, TestSite, until } from '../site/test-site.js';
import { foothold, json } from './operator.js';

let site: TestSite;
let agent: Agent;
beforeEach(async () => {
  site = new TestSite();
  site.write('live/conf/page', 'healthy original');
  site.write('weather', 'healthy');
  site.write('control.pub', site.publicPem);
  const file = { apiVersion: 'foothold/v1', kind: 'Agent', site: site.site, data: site.data };
  site.write('agent.yaml', JSON.stringify({ ...file, controlKeys: ['control.pub'], depot: 'http://127.0.0.1:1/' }));
  agent = await site.start();
  await agent.serveLocal();
});
afterEach(() => site.clear());

const page = () => readFileSync(site.path('live', 'conf', 'page'), 'utf8');
const release = (version: string, change: Record<string, unknown> = {}) =>
  site.publish(
    directoryRelease(site, version, {
      checks: [{ name: 'weather', exec: ['grep', '-q', 'healthy', site.path('weather')], every: '30ms', failures: 2 }],
      watchFor: '1h',
      ...change,
    }),
    { 'files/page': `healthy ${version}` },
  );
const confirm = async (version: string, generation: number) =>
  expect(await carryOut(agent, site, site.command(release(version), { generation }))).toMatchObject({
    result: 'confirmed',
  });
const revert = (...more: string[]) =>
  foothold(site.root, ['agent', 'revert', 'edge-proxy', '--reason', 'sparks', '--by', 'kari', ...more]);

describe('agent revert', () => {
  test('goes back and says to what; --dry-run says it before', async () => {
    await confirm('1.0.0', 1);
    const dry = await revert('--dry-run');
    expect([dry.exit, dry.out]).toEqual([0, expect.stringContaining('would go back from 1.0.0 to 0.0.0-adopted')]);
    expect(page()).toBe('healthy 1.0.0');
    const said = await revert('--json');
    expect(said.exit).toBe(0);
    expect(json(said)).toMatchObject({ stream: 'edge-proxy', state: 'reverted', cause: 'person' });
    expect(page()).toBe('healthy original');
    const again = await revert();
    expect([again.exit, again.err]).toEqual([2, expect.stringContaining('LKG_MISSING')]);
  });

  test('says who was faster where a check undoes the same just then, and undoes nothing further', async () => {
    await confirm('1.0.0', 1);
    await confirm('2.0.0', 2);
    const before = { exec: ['sh', '-c', `touch ${site.path('begun')}; sleep 60`], timeout: '2m' };
    const after = { exec: ['sh', '-c', `touch ${site.path('ending')}; sleep 1`], timeout: '5s' };
    await agent.door.accept(site.sign(site.command(release('3.0.0', { before, after }), { generation: 3 })));
    await until(() => existsSync(site.path('begun')));
    writeFileSync(site.path('weather'), 'storm');
    await until(() => existsSync(site.path('ending')));
    writeFileSync(site.path('weather'), 'healthy');
    const said = await revert();
    expect([said.exit, said.out]).toEqual([
      0,
      expect.stringContaining('reverted: edge-proxy runs 1.0.0 (undone by check just now'),
    ]);
    expect(page()).toBe('healthy 1.0.0');
  });

  test('refuses in the middle of a switch, and so does --dry-run', async () => {
    await confirm('1.0.0', 1);
    const after = { exec: ['sh', '-c', `touch ${site.path('switching')}; sleep 1.5`], timeout: '5s' };
    const two = site.command(release('2.0.0', { after }), { generation: 2 });
    await agent.door.accept(site.sign(two));
    await until(() => existsSync(site.path('switching')));
    for (const said of [await revert('--dry-run'), await revert()]) {
      expect([said.exit, said.err]).toEqual([2, expect.stringContaining('AGENT_BUSY')]);
    }
  });
});
