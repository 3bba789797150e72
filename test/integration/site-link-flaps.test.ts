/**
 * Links that come and go, each in a rhythm of its own between 5 and 90 seconds: a change goes from start to end over every
 * one of them, once, and another is undone by the site alone whatever its link does at that moment.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LinkFault } from '../../infra/dev/relay.js';
import { FaultStage, until } from './fault-stage.js';
import { accountOf, askMeanwhile, comesTo, startLinked, type LinkedSite } from './link-stage.js';

const flap = (off: number, on: number): LinkFault => ({ kind: 'flap', offMs: off * 1_000, onMs: on * 1_000 });
const RHYTHMS: Record<string, LinkFault> = {
  'rarely-up': flap(90, 20),
  'half-up': flap(30, 30),
  'hardly-up': flap(20, 5),
  'short-gaps': flap(5, 90),
};
const SITES = Object.keys(RHYTHMS);
/** Two of the longest cycles, and what a change itself takes. */
const BY_THEN = 260_000;

let stage: FaultStage;
/** What every site has confirmed. */
let confirmed = '1.0.0';
const sites = new Map<string, LinkedSite>();

beforeAll(async () => {
  stage = await FaultStage.open({ sites: SITES, settleWithin: '280s' });
  await startLinked(stage, SITES, sites);
  const first = await stage.begin({ version: '1.0.0' }, 'together');
  expect(await stage.sealed(first, 60_000)).toMatchObject({ outcome: 'promoted' });
  for (const [name, fault] of Object.entries(RHYTHMS)) sites.get(name)?.fail(fault);
});
afterAll(async () => {
  await Promise.all([...sites.values()].map((site) => site.stop()));
  await stage.close();
});

describe('links that flap every 5 to 90 s', () => {
  it('[B1] [B7] a change goes from start to end over each of them, and is counted once', async () => {
    const asking = askMeanwhile(stage, SITES);
    const label = await stage.begin({ version: '1.1.0' }, 'together');
    expect(await stage.sealed(label, BY_THEN)).toMatchObject({
      outcome: 'promoted',
      stages: [{ confirmed: SITES.length }],
    });
    confirmed = '1.1.0';
    for (const site of SITES) {
      const account = await accountOf(stage, label, site);
      expect(account).toMatchObject({ outcome: 'confirmed', counted: 1 });
      expect(account.journal, site).toEqual({ accepted: 1, switching: 1, confirmed: 1, reverted: 0 });
    }
    const asked = await asking.end();
    for (const [name, { slowest }] of asked) {
      expect(slowest, `the slowest answer of ${name}`).toBeLessThan(2_000);
      expect(sites.get(name)?.process.running(), name).toBe(true);
    }
    expect(await stage.verified(label)).toMatchObject({ ok: true });
  });

  it('[A32] a bad one is undone by each site when it turns ill, and the centre hears of every undo once', async () => {
    const label = await stage.begin({ version: '1.2.0', healthyFor: '45s' }, 'together');
    const ill = async (site: string) => {
      await comesTo(stage, site, 'watching', '1.2.0', BY_THEN);
      const from = Date.now();
      stage.makeIll(site, '1.2.0');
      await comesTo(stage, site, 'reverted', confirmed);
      return Date.now() - from;
    };
    for (const [i, took] of (await Promise.all(SITES.map(ill))).entries()) {
      expect(took, SITES[i]).toBeLessThan(10_000);
    }
    const accounts = () => Promise.all(SITES.map((site) => accountOf(stage, label, site)));
    await until(async () => (await accounts()).every(({ counted }) => counted > 0), 'every undo is counted', BY_THEN);
    for (const account of await accounts()) {
      expect(account).toMatchObject({ outcome: 'reverted', cause: 'check', counted: 1 });
      expect(account.journal, account.site).toEqual({ accepted: 1, switching: 1, confirmed: 0, reverted: 1 });
    }
  });
});
