/**
 * Links that fail in every way a relay can: what is under way at a site ends by itself and in time, the agent is not
 * disturbed, and once the link is well again the centre hears of it once and the next command gets through.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LinkFault } from '../../infra/dev/relay.js';
import { FaultStage, until } from './fault-stage.js';
import {
  accountOf,
  askMeanwhile,
  comesTo,
  NOTICED_WITHIN,
  startLinked,
  type Asked,
  type LinkedSite,
} from './link-stage.js';

/** 1.5 Mbit/s over a satellite. */
const THIN: LinkFault = { kind: 'slow', roundTripMs: 600, bytesPerSecond: 1_500_000 / 8 };
/** Over these no word gets through. */
const DEAD: Record<string, LinkFault> = {
  silent: { kind: 'drop' },
  'lost-up': { kind: 'drop', direction: 'up' },
  'lost-down': { kind: 'drop', direction: 'down' },
  crawling: { kind: 'slow', bytesPerSecond: 1 },
  reset: { kind: 'reset' },
  'half-open': { kind: 'half-open' },
};
/** Over these some do, sooner or later. */
const POOR: Record<string, LinkFault> = { flapping: { kind: 'flap', offMs: 5_000, onMs: 5_000 }, thin: THIN };
const FAULTS = { ...DEAD, ...POOR };
const SITES = Object.keys(FAULTS);

/** An operator at the site, on a machine that is busy with eight agents. */
const ANSWERED_WITHIN = 2_000;
/** From the switch: what a site may need beyond what its release says. */
const SLACK = 5_000;

let stage: FaultStage;
const sites = new Map<string, LinkedSite>();

beforeAll(async () => {
  stage = await FaultStage.open({ sites: SITES, settleWithin: '180s' });
  await startLinked(stage, SITES, sites);
});
afterAll(async () => {
  await Promise.all([...sites.values()].map((site) => site.stop()));
  await stage.close();
});

const all = <T>(names: string[], act: (site: LinkedSite) => Promise<T>) =>
  Promise.all(names.map((name) => act(sites.get(name) as LinkedSite)));
const fail = () => {
  for (const [name, fault] of Object.entries(FAULTS)) sites.get(name)?.fail(fault);
};
const heal = () => {
  for (const site of sites.values()) site.heal();
};

/** Answered at once all the while, and still the process that was started. */
async function expectUndisturbed(asked: Map<string, Asked>): Promise<void> {
  for (const [name, { answers, slowest }] of asked) {
    expect(answers, name).toBeGreaterThan(5);
    expect(slowest, `the slowest answer of ${name}`).toBeLessThan(ANSWERED_WITHIN);
    expect(sites.get(name)?.process.running(), name).toBe(true);
    const started = (await stage.journalOf(name)).filter(({ kind }) => kind === 'started');
    expect(started.length, name).toBe(1);
  }
}

/** The link of each site that hears nothing is down by the site's own word, with why and since when. */
async function expectNamed(from: number): Promise<void> {
  await all(Object.keys(DEAD), async (site) => {
    const link = await site.linkIs('down');
    expect(link.cause, site.name).toMatch(/did not answer|cannot be reached|namespace default on/);
    expect(link.since, site.name).toBeGreaterThanOrEqual(from);
    expect(link.since, site.name).toBeLessThan(from + NOTICED_WITHIN);
  });
  const { stdout } = await stage.foothold(['agent', 'status', '--config', stage.agentConfig('silent')]);
  expect(stdout).toMatch(/link down since .*: .*(did not answer|cannot be reached)/);
}

describe('links that fail while a change is watched', () => {
  let label = '';

  it('[A7] [B1] [B7] a good one is confirmed in time behind every fault, and counted once when the link is well again', async () => {
    label = await stage.begin({ version: '1.0.0', healthyFor: '40s' }, 'together');
    await all(SITES, ({ name }) => comesTo(stage, name, 'watching', '1.0.0'));
    const from = Date.now();
    fail();
    const asking = askMeanwhile(stage, SITES);
    await expectNamed(from);
    await all(SITES, ({ name }) => comesTo(stage, name, 'confirmed', '1.0.0'));
    await sleep(2_000);
    const { firstRunId } = (await stage.rollout(label)) ?? { firstRunId: '' };
    const heard = (await stage.registry.siteRows(firstRunId)).filter(({ outcome }) => outcome === 'confirmed');
    // A result may get out where only answers are lost; of the others nobody has heard.
    const mayBeHeard = [...Object.keys(POOR), 'lost-down'];
    expect(heard.map(({ site }) => site).filter((site) => !mayBeHeard.includes(site))).toEqual([]);
    await expectUndisturbed(await asking.end());
    heal();
    await all(SITES, (site) => site.linkIs('up'));
    expect(await stage.sealed(label, 120_000)).toMatchObject({
      outcome: 'promoted',
      stages: [{ confirmed: SITES.length }],
    });
    for (const site of SITES) {
      const account = await accountOf(stage, label, site);
      expect(account).toMatchObject({ outcome: 'confirmed', counted: 1 });
      expect(account.journal, site).toEqual({ accepted: 1, switching: 1, confirmed: 1, reverted: 0 });
      expect(account.took, site).toBeGreaterThanOrEqual(40_000);
      expect(account.took, site).toBeLessThan(40_000 + SLACK);
    }
    expect(await stage.verified(label)).toMatchObject({ ok: true });
  });

  it('[A32] the next command gets through, and a bad one is undone in time by its check behind every fault', async () => {
    label = await stage.begin({ version: '1.1.0', healthyFor: '45s' }, 'together');
    await all(SITES, ({ name }) => comesTo(stage, name, 'watching', '1.1.0'));
    const from = Date.now();
    fail();
    const asking = askMeanwhile(stage, SITES);
    await expectNamed(from);
    const ill = Date.now();
    for (const site of SITES) stage.makeIll(site, '1.1.0');
    await all(SITES, ({ name }) => comesTo(stage, name, 'reverted', '1.0.0'));
    expect(Date.now() - ill).toBeLessThan(SLACK + 5_000);
    await expectUndisturbed(await asking.end());
    expect(SITES.map((site) => stage.livePage(site))).toEqual(SITES.map(() => 'healthy 1.0.0\n'));
    heal();
    const counted = () => Promise.all(SITES.map((site) => accountOf(stage, label, site)));
    await until(async () => (await counted()).every(({ counted }) => counted > 0), 'every undo is counted', 120_000);
    expect(await stage.endOf(['abort', label, '--reason', 'nobody can run it'])).toMatchObject({ code: 0 });
    await stage.sealed(label, 120_000);
    for (const account of await counted()) {
      expect(account).toMatchObject({ outcome: 'reverted', cause: 'check', counted: 1 });
      expect(account.journal, account.site).toEqual({ accepted: 1, switching: 1, confirmed: 0, reverted: 1 });
    }
    expect(await stage.verified(label)).toMatchObject({ ok: true });
  });

  it('[B1] over a link of 600 ms and 1.5 Mbit/s, and over one that flaps, a change goes from start to end', async () => {
    for (const [name, fault] of Object.entries(POOR)) sites.get(name)?.fail(fault);
    const from = performance.now();
    label = await stage.begin({ version: '1.2.0' }, 'together');
    expect(await stage.sealed(label, 120_000)).toMatchObject({
      outcome: 'promoted',
      stages: [{ confirmed: SITES.length }],
    });
    expect(performance.now() - from).toBeLessThan(60_000);
    for (const site of SITES) {
      const account = await accountOf(stage, label, site);
      expect(account).toMatchObject({ outcome: 'confirmed', counted: 1, journal: { switching: 1, confirmed: 1 } });
    }
  });
});
