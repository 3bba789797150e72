/** Fault H6: the store of a site is put back to an earlier point, or gone. */
import { cpSync, readFileSync, rmSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { carryOut, directoryRelease, TestSite } from './test-site.js';

let site: TestSite;
const page = () => readFileSync(site.path('live', 'conf', 'page'), 'utf8');
beforeEach(() => {
  site = new TestSite();
  site.write('live/conf/page', 'healthy original');
});
afterEach(() => site.clear());

/** What the centre names in its next command after 1.0.0, 2.0.0 were confirmed; `early`: a copy from between. */
async function history() {
  const first = await site.start();
  const one = site.publish(directoryRelease(site, '1.0.0'), { 'files/page': 'healthy 1' });
  await carryOut(first, site, site.command(one));
  await first.stop();
  cpSync(site.data, site.path('early'), { recursive: true, verbatimSymlinks: true });
  const agent = await site.start();
  const two = site.publish(directoryRelease(site, '2.0.0'), { 'files/page': 'healthy 2' });
  await carryOut(agent, site, site.command(two, { generation: 3 }));
  const last = agent.door.unacknowledged(1_000).at(-1);
  await agent.stop();
  return { two, ackedThrough: { epoch: 1, sequence: last?.sequence ?? 0, hash: last?.hash ?? '' } };
}

describe('H6', () => {
  it.each(['put back to an earlier copy', 'deleted'])(
    'a data directory %s: commands are refused, nothing is changed',
    async (how) => {
      const { two, ackedThrough } = await history();
      rmSync(site.data, { recursive: true });
      if (how !== 'deleted') cpSync(site.path('early'), site.data, { recursive: true, verbatimSymlinks: true });
      const again = await site.start();
      for (const verb of ['converge', 'revert'] as const) {
        const command = site.command(two, { verb, generation: 9, ackedThrough });
        expect(await carryOut(again, site, command)).toMatchObject({
          result: 'rejected',
          changed: false,
          reason: { code: 'JOURNAL_FORKED' },
        });
      }
      expect(again.history(100).some((event) => event.kind === 'accepted' && event.detail['generation'] === 9)).toBe(
        false,
      );
      if (how !== 'deleted') expect(() => page()).toThrow();
    },
  );

  it('and one whose journal went on differently since is refused as well', async () => {
    const { two, ackedThrough } = await history();
    rmSync(site.data, { recursive: true });
    cpSync(site.path('early'), site.data, { recursive: true, verbatimSymlinks: true });
    for (let starts = 0; starts < 12; starts++) await (await site.start()).stop();
    const again = await site.start();
    const command = site.command(two, { verb: 'revert', generation: 9, ackedThrough });
    expect(await carryOut(again, site, command)).toMatchObject({ reason: { code: 'JOURNAL_FORKED' } });
  });
});
