/**
 * Commands under way when a person freezes, holds or retires: what no agent has begun is withdrawn, what one has begun goes
 * on, undos never wait. On a real server, with the real registry, workflows and activities.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CatchUpStage, type NewSite } from './catch-up-stage.js';

let stage: CatchUpStage;
beforeAll(async () => {
  stage = await CatchUpStage.open();
}, 120_000);
afterAll(async () => {
  await stage.close();
});

const quiet = (ms = 2_500) => new Promise((resolve) => setTimeout(resolve, ms));
const SLOW: NewSite = { live: '1.0.0', watchMs: 100 };

/** `a` is up, and of the first stage; `b` and `c` are dark, and their commands wait for them. */
async function underWay(stream: string, its: NewSite = SLOW) {
  await stage.publish(stream, '1.0.0', '2.0.0');
  const [a, b, c] = ['a', 'b', 'c'].map((id) => `${stream}-${id}`) as [string, string, string];
  stage.addSite(a, stream, { live: '1.0.0', risk: 'low' });
  for (const id of [b, c]) stage.addSite(id, stream, its);
  await stage.up(a);
  const handle = await stage.start(stream, '2.0.0');
  await stage.until(async () => (await open(stream)).length === 2, 'the commands of the dark sites');
  return { handle, a, b, c };
}

const open = async (stream: string) =>
  (await stage.registry.openConverges(Date.now())).filter((one) => one.stream === stream).map(({ site }) => site);

async function outcomes(stream: string): Promise<Record<string, string>> {
  const { firstRunId } = await stage.statusOf(stream);
  const rows = await stage.registry.siteRows(firstRunId);
  return Object.fromEntries(
    rows.map(({ site, outcome, reason }) => [site, reason ? `${outcome} ${reason.code}` : outcome]),
  );
}

const become = (stream: string, site: string, what: string) =>
  stage.until(async () => (await outcomes(stream))[site] === what, `${site} is ${what}`);

const freeze = () =>
  stage.registry.putFreeze({ by: 'kari', reason: 'storm', at: Date.now(), until: Date.now() + 60_000 });
const lift = () => stage.registry.liftFreezes(undefined, { by: 'kari', reason: 'over', at: Date.now() });

/** Attempts to converge that Temporal was asked to cancel, over the shards of a rollout. */
async function cancelled(stream: string): Promise<number> {
  let count = 0;
  for await (const { workflowId } of stage.client.workflow.list({ query: `WorkflowType = 'shard'` })) {
    if (!workflowId.startsWith(`${stream}-`)) continue;
    const { events } = await stage.client.workflow.getHandle(workflowId).fetchHistory();
    count += (events ?? []).filter((event) => event.activityTaskCancelRequestedEventAttributes).length;
  }
  return count;
}

describe('a freeze that comes after the commands of dark sites', () => {
  it('[A45] withdraws them: sites that come back during it switch nothing, and each is brought the release once after it', async () => {
    const stream = 'storm';
    const { handle, b, c } = await underWay(stream);
    // Beyond `startWithin`: what waits now has given back its slot.
    await quiet(1_500);
    await freeze();
    try {
      expect(await stage.withdraw()).toEqual({ asked: 2 });
      for (const site of [b, c]) await become(stream, site, 'deferred FROZEN');
      // A freeze of weeks costs the shard nothing more.
      expect(await stage.withdraw()).toEqual({ asked: 0 });
      await stage.up(b, c);
      await quiet();
      for (const site of [b, c]) expect(stage.commands(site)).toEqual([]);
      expect(await outcomes(stream)).toMatchObject({ [b]: 'deferred FROZEN', [c]: 'deferred FROZEN' });
    } finally {
      await lift();
    }
    await handle.result();
    for (const site of [b, c]) {
      expect(stage.commands(site)).toEqual(['converge 2.0.0']);
      expect(stage.live(site)).toBe('2.0.0');
    }
    const status = await stage.statusOf(stream);
    expect(status).toMatchObject({ outcome: 'promoted' });
    expect(status.stages.at(-1)).toMatchObject({ confirmed: 2, failed: 0, owed: 0 });
  }, 60_000);

  it('finds also what was judged before it and on record only after it', async () => {
    const stream = 'between';
    await stage.publish(stream, '1.0.0', '2.0.0');
    const [a, b] = [`${stream}-a`, `${stream}-b`];
    stage.addSite(a, stream, { live: '1.0.0', risk: 'low' });
    stage.addSite(b, stream, SLOW);
    await stage.up(a, b);
    stage.beforeCommanded = async (sites) => {
      if (!sites.includes(b)) return;
      stage.beforeCommanded = undefined;
      await freeze();
      expect(await open(stream)).toEqual([]);
    };
    const handle = await stage.start(stream, '2.0.0');
    try {
      await stage.until(() => stage.registry.findRollout(stream), 'its first word');
      await become(stream, b, 'deferred FROZEN');
      await quiet(1_000);
      expect(stage.commands(b)).toEqual([]);
    } finally {
      await lift();
    }
    await handle.result();
    expect([stage.commands(b), stage.live(b)]).toEqual([['converge 2.0.0'], '2.0.0']);
  }, 60_000);

  it('lets an undo through', async () => {
    const stream = 'undone';
    const { handle, a, b } = await underWay(stream);
    await freeze();
    try {
      await stage.withdraw();
      await become(stream, b, 'deferred FROZEN');
      await handle.signal('revert', { by: 'kari', reason: 'not like this' });
      await stage.until(() => stage.live(a) === '1.0.0', 'the undo where it was live');
      await stage.up(b);
      await stage.until(() => stage.commands(b).length > 0, 'the undo of what it may have been sent');
      await quiet();
      expect(stage.commands(b)).toEqual(['revert 2.0.0']);
      expect(stage.live(b)).toBe('1.0.0');
    } finally {
      await lift();
    }
    await handle.result().catch(() => undefined);
    expect(await stage.statusOf(stream)).toMatchObject({ outcome: 'reverted' });
  }, 60_000);

  it('[A45] withdraws what a catch-up batch had sent', async () => {
    const stream = 'later';
    await stage.publish(stream, '1.0.0', '2.0.0');
    const [a, b, c] = [`${stream}-a`, `${stream}-b`, `${stream}-c`];
    stage.addSite(a, stream, { live: '1.0.0', risk: 'low' });
    for (const id of [b, c]) stage.addSite(id, stream, SLOW);
    await stage.up(a, c);
    expect(await stage.rollOut(stream, '2.0.0')).toMatchObject({ outcome: 'promoted' });
    // It reports, and takes no command yet.
    stage.fleet.connect(b);
    await stage.until(async () => (await stage.batches(stream)).length > 0, 'the batch');
    await stage.until(async () => (await open(stream)).includes(b), 'its command');
    await freeze();
    try {
      expect(await stage.withdraw()).toEqual({ asked: 1 });
      const [batch] = await stage.batches(stream);
      const rows = () => stage.registry.siteRows(batch?.firstRunId ?? '');
      await stage.until(async () => (await rows())[0]?.outcome === 'deferred', 'it is withdrawn');
      await stage.up(b);
      await quiet();
      expect(stage.commands(b)).toEqual([]);
    } finally {
      await lift();
    }
    await stage.until(() => stage.live(b) === '2.0.0', 'the release');
    expect(stage.commands(b)).toEqual(['converge 2.0.0']);
  }, 90_000);
});

describe('a hold at the centre that comes after the command of a dark site', () => {
  it('withdraws that one alone', async () => {
    const stream = 'held';
    const { handle, b, c } = await underWay(stream);
    const until = Date.now() + 8_000;
    await stage.registry.putHold({ site: b, until, by: 'kari', reason: 'no crew', at: Date.now() });
    expect(await stage.withdraw()).toEqual({ asked: 1 });
    await become(stream, b, 'deferred HELD');
    await stage.up(b, c);
    await stage.until(() => stage.live(c) === '2.0.0', 'the release where nobody holds it');
    await quiet(1_000);
    expect(stage.commands(b)).toEqual([]);
    await stage.registry.liftHolds(b, undefined, { by: 'kari', reason: 'crew is there', at: Date.now() });
    await handle.result();
    expect([stage.commands(b), stage.live(b)]).toEqual([['converge 2.0.0'], '2.0.0']);
    expect((await stage.statusOf(stream)).stages.at(-1)).toMatchObject({ confirmed: 2, owed: 0 });
  }, 60_000);
});

describe('a site that is retired while its command waits for it', () => {
  it('is not brought the release by it, and a sweep is enough', async () => {
    const stream = 'retired';
    const { handle, b, c } = await underWay(stream);
    await stage.registry.retire({ site: b, by: 'kari', reason: 'sold' }, Date.now());
    await stage.sweep();
    await become(stream, b, 'deferred SITE_RETIRED');
    await stage.up(b, c);
    await handle.result();
    expect([stage.commands(b), stage.live(b)]).toEqual([[], '1.0.0']);
    expect(stage.live(c)).toBe('2.0.0');
  }, 60_000);
});

describe('a command that an agent has begun', () => {
  // They watch longer than it takes until an attempt hears that it was cancelled: a heartbeat, sent every 3.2 s here.
  const begun = async (stream: string) => {
    const made = await underWay(stream, { live: '1.0.0', watchMs: 6_000 });
    await stage.up(made.b, made.c);
    for (const site of [made.b, made.c]) await stage.until(() => stage.commands(site).length > 0, 'the switch');
    await quiet(300);
    await freeze();
    await stage.withdraw();
    return made;
  };
  const goesOn = async (stream: string, { handle, b, c }: Awaited<ReturnType<typeof begun>>) => {
    await handle.result();
    for (const site of [b, c]) expect([stage.commands(site), stage.live(site)]).toEqual([['converge 2.0.0'], '2.0.0']);
    expect((await stage.statusOf(stream)).stages.at(-1)).toMatchObject({ confirmed: 2, failed: 0, owed: 0 });
    const said = (await stage.registry.evidence((await stage.statusOf(stream)).firstRunId)).filter(
      ({ kind }) => kind === 'disposition',
    );
    expect(said).toEqual([]);
  };

  it('goes on to its end during the freeze, and is not disturbed', async () => {
    try {
      await goesOn('begun', await begun('begun'));
      expect(await cancelled('begun')).toBe(0);
    } finally {
      await lift();
    }
  }, 60_000);

  it('is observed on if it was taken up in the very moment in which it was called off', async () => {
    stage.blind = true;
    try {
      await goesOn('moment', await begun('moment'));
      expect(await cancelled('moment')).toBe(2);
    } finally {
      stage.blind = false;
      await lift();
    }
  }, 60_000);
});
