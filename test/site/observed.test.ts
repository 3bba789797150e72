import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Agent } from '../../site/agent.js';
import { carryOut, directoryRelease, TestSite, until } from './test-site.js';

let site: TestSite;
beforeEach(() => {
  site = new TestSite();
  site.write('live/conf/page', 'healthy original');
});
afterEach(() => site.clear());

/** The kinds of events that no result will carry, as the link hears of them. */
function unobserved(agent: Agent): string[] {
  const kinds: string[] = [];
  agent.door.onEvent((event) => {
    if (!agent.door.observed(event)) kinds.push(event.kind);
  });
  return kinds;
}

describe('what the inbox has to carry', () => {
  it('[A43] nothing of a command that is observed: its result carries the whole journal, its acceptance too', async () => {
    const agent = await site.start();
    const left = unobserved(agent);
    const good = site.publish(directoryRelease(site, '1.0.0'), { 'files/page': 'healthy 1' });
    await carryOut(agent, site, site.command(good, { generation: 3 }));
    expect(await carryOut(agent, site, site.command(good))).toMatchObject({ reason: { code: 'STALE' } });
    expect(agent.history(50).filter((event) => event.kind === 'accepted')).toHaveLength(1);
    expect(agent.history(50).map((event) => event.kind)).toContain('rejected');
    expect(left).toEqual([]);
  });

  it('[A43] how a command ended that nobody observes', async () => {
    const agent = await site.start();
    const left = unobserved(agent);
    const good = site.publish(directoryRelease(site, '1.0.0'), { 'files/page': 'healthy 1' });
    await agent.door.accept(site.sign(site.command(good)));
    await until(() => left.includes('confirmed'));
    expect(left).not.toContain('accepted');
  });
});
