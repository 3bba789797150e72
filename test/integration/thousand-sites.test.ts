/**
 * A thousand simulated sites on real parts: 20 % dark, 5 % reverting, 2 % with links that flap. Every site is accounted
 * for, and the totals are those of a model that knows nothing but the script of the sites.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exportEvidence, verifyEvidence } from '../../records/evidence/document.js';
import { openStand, type Stand } from '../faults/stand.js';
import { scriptSites, totalsAtEnd, totalsAtSeal, type Totals } from '../faults/thousand-script.js';
import { openThousand, STREAM, type Thousand } from '../faults/thousand.js';

const CAUGHT_UP_WITHIN_MS = 150_000;

let stand: Stand;
let thousand: Thousand;

beforeAll(async () => {
  stand = await openStand();
  thousand = await openThousand(stand);
  await thousand.start();
});
afterAll(async () => {
  await thousand?.close();
  await stand?.close();
});

/** What each site runs, by its own log. */
function liveNow(): Totals {
  const live = [...thousand.simulated.values()].map((site) => site.books.live?.digest);
  const confirmed = live.filter((digest) => digest === thousand.digest).length;
  const reverted = [...thousand.simulated.values()].filter((site) => site.books.quarantine.length > 0).length;
  return { confirmed, reverted, owed: live.length - confirmed - reverted };
}

describe('a rollout of a thousand sites', () => {
  it('scripts what it says: 20 % dark, 5 % reverting, 2 % flapping, as good as exactly', () => {
    const sites = scriptSites(STREAM);
    const share = (kind: string) => sites.filter((site) => site.kind.startsWith(kind)).length / sites.length;
    expect(share('dark')).toBeCloseTo(0.2, 2);
    expect(share('reverting')).toBeCloseTo(0.05, 2);
    expect(share('flapping')).toBeCloseTo(0.02, 2);
  });

  it('ends with every site accounted for, in the numbers of the model [A19] [B1]', async () => {
    const status = await thousand.sealed();
    const expected = totalsAtSeal(thousand.sites);
    expect(status).toMatchObject({ state: 'sealed', outcome: 'promoted' });
    const rows = await thousand.registry.siteRows(status.firstRunId);
    const count = (outcome: string) => rows.filter((row) => row.outcome === outcome).length;
    expect(new Set(rows.map((row) => row.site)).size).toBe(thousand.sites.length);
    expect({ confirmed: count('confirmed'), reverted: count('reverted'), owed: count('owed') }).toEqual(expected);
    const sum = (key: 'confirmed' | 'failed' | 'owed') => status.stages.reduce((total, stage) => total + stage[key], 0);
    expect({ confirmed: sum('confirmed'), reverted: sum('failed'), owed: sum('owed') }).toEqual(expected);
    expect(liveNow()).toEqual(expected);
  });

  it('[A11] names the same sites as the script, one by one', async () => {
    const status = await thousand.sealed();
    const rows = new Map((await thousand.registry.siteRows(status.firstRunId)).map((row) => [row.site, row.outcome]));
    const words = { well: 'confirmed', flapping: 'confirmed', 'dark-during': 'confirmed', 'dark-after': 'owed' };
    const wrong = thousand.sites.filter(({ id, kind }) => rows.get(id) !== { ...words, reverting: 'reverted' }[kind]);
    expect(wrong).toEqual([]);
  });

  it('brings those that come back afterwards to what they should run, and leaves nobody out [A45]', async () => {
    await thousand.bringBackRest();
    const expected = totalsAtEnd(thousand.sites);
    const until = Date.now() + CAUGHT_UP_WITHIN_MS;
    const owed = () => thousand.registry.debts({ stream: STREAM, owner: 'catchUp', limit: 2_000 });
    while (Date.now() < until && (liveNow().owed > 0 || (await owed()).length > 0)) await sleep(500);
    expect(liveNow()).toEqual(expected);
    expect(await owed()).toEqual([]);
  });

  it('commands every site once and switches it once, flapping links and all', () => {
    for (const [id, site] of thousand.simulated) {
      const commands = site.books.log.flatMap((entry) => (entry.kind === 'command' ? [entry.command.id] : []));
      const forward = site.books.log.filter((entry) => entry.kind === 'switch' && entry.why === 'converge');
      expect({ id, switches: forward.length }).toEqual({ id, switches: 1 });
      expect({ id, commands: new Set(commands).size }).toEqual({ id, commands: 1 });
    }
  });

  it('leaves evidence that verifies', async () => {
    const { firstRunId } = await thousand.sealed();
    expect(verifyEvidence(await exportEvidence(thousand.registry, firstRunId))).toMatchObject({ ok: true });
  });
});
