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

  it.each([
    ['is small', 10, true],
    ['has large events', 100_000, false],
  ])(
    'what a result has no room for, and nothing of what it carries: the journal before it %s',
    async (_, size, all) => {
      const agent = await site.start();
      for (let n = 0; n < 6; n++) agent.hold({ by: 'kari', reason: 'ø'.repeat(size / 2) });
      agent.unhold({ by: 'kari', reason: 'done' });
      const told: [sequence: number, carried: boolean][] = [];
      agent.door.onEvent((event) => told.push([event.sequence, agent.door.observed(event)]));
      const good = site.publish(directoryRelease(site, '1.0.0'), { 'files/page': 'healthy 1' });
      const command = site.command(good);
      await agent.door.accept(site.sign(command));
      agent.hold({ by: 'kari', reason: 'x'.repeat(size) });
      agent.unhold({ by: 'kari', reason: 'done' });
      const settled = await agent.door.observe(command.id, AbortSignal.timeout(15_000), () => undefined);
      const events = settled.kind === 'result' ? settled.events : [];
      const last = events.at(-1)?.sequence ?? 0;
      expect(events.length).toBeGreaterThan(0);
      expect(Buffer.byteLength(JSON.stringify(events))).toBeLessThan(530_000);
      expect(events.map(({ sequence }) => sequence)).toEqual(Array.from({ length: last }, (__, n) => n + 1));
      expect(last === agent.history(50).at(-1)?.sequence).toBe(all);
      // Told while it was taken in or observed.
      const ofCommand = agent.history(50).flatMap((one) => (one.commandId === command.id ? [one.sequence] : []));
      const heard = told.filter(([sequence]) => ofCommand.includes(sequence));
      expect(heard.length).toBeGreaterThan(3);
      expect(heard).toEqual(heard.map(([sequence]) => [sequence, sequence <= last]));
    },
  );
});
