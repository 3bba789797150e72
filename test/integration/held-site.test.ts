/** A held site in a real rollout, with real processes: deferred, counted, unheld, and confirmed by the command of before. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RunningProcess } from '../../infra/dev/process.js';
import { judgeBudget } from '../../policies/rollout/budget.js';
import { FaultStage, until } from './fault-stage.js';

const FIRST = 'osl-01';
const HELD = 'osl-02';
let stage: FaultStage;
let agent: RunningProcess;
beforeAll(async () => {
  stage = await FaultStage.open({ sites: [FIRST, HELD], settleWithin: '120s' });
  await stage.startDepot();
  await stage.startWorker();
  await stage.startSite(FIRST);
  agent = await stage.startSite(HELD);
  await until(async () => (await stage.registry.reports([FIRST, HELD])).size === 2, 'both have reported');
});
afterAll(() => stage.close());

const said = async (argv: string[]): Promise<string> => {
  const ran = await stage.foothold(argv);
  expect([ran.code, ran.stderr]).toEqual([0, '']);
  return ran.stdout;
};
const rows = async (label: string) => {
  const status = await stage.rollout(label);
  return (await stage.registry.siteRows(status?.firstRunId ?? '')).filter(({ site }) => site === HELD);
};
const atSite = (verb: string) => ['agent', verb, '--config', stage.agentConfig(HELD), '--reason', 'work on the mast'];

async function heldThrough(version: string, hold: string[], unhold: string[], by: RegExp): Promise<void> {
  await said(hold);
  const label = await stage.begin({ version });
  const [deferred] = await until(async () => {
    const found = await rows(label);
    return found[0]?.outcome === 'deferred' && found;
  }, 'the held site is deferred');
  if (!deferred) throw new Error('no outcome');
  expect(deferred.reason).toEqual({ code: 'HELD', detail: expect.stringMatching(by) as string });
  expect(judgeBudget({ failed: 0, owed: 0 }, 1, [deferred])).toMatchObject({ count: { owed: [HELD], failed: [] } });
  await until(async () => (await stage.rollout(label))?.stages.at(-1)?.owed === 1, 'it counts with owed');
  expect(await said(['explain', label, HELD])).toMatch(by);
  expect(await said(['fleet', 'status'])).toMatch(by);
  expect(await said(['site', 'show', HELD])).toContain('held: nothing new is switched there');
  expect(stage.loads(HELD)).not.toContain(version);
  const before = (await stage.journalOf(HELD)).filter(({ commandId }) => commandId !== undefined).length;
  await said(unhold);
  expect((await stage.sealed(label, 100_000)).outcome).toBe('promoted');
  const events = (await stage.journalOf(HELD)).filter(({ commandId }) => commandId !== undefined).slice(before);
  // One command, its first try: nothing was refused at the site, and nothing was sent twice.
  expect(new Set(events.map(({ commandId }) => commandId?.split('/').slice(-2).join('/')))).toEqual(
    new Set(['converge/1']),
  );
  expect(events.filter(({ kind }) => kind === 'accepted')).toHaveLength(1);
  expect(events.at(-1)).toMatchObject({ kind: 'confirmed' });
  const ended = await rows(label);
  expect(ended.map(({ outcome }) => outcome)).toEqual(['confirmed']);
  expect(stage.loads(HELD).filter((loaded) => loaded === version)).toHaveLength(1);
  expect((await stage.verified(label)).ok).toBe(true);
}

describe('a held site in a rollout', () => {
  test('held at the site, over its socket alone', async () => {
    await said(atSite('hold'));
    await until(async () => {
      const { report } = (await stage.registry.reports([HELD])).get(HELD) ?? {};
      return (report?.holds?.length ?? 0) > 0;
    }, 'the centre knows of the hold');
    await heldThrough('1.0.0', atSite('hold'), atSite('unhold'), /at the site by tester: work on the mast/);
  }, 200_000);

  test('held at the centre, with a warning in preflight', async () => {
    const reason = ['--reason', 'no crew there'];
    const hold = ['site', 'hold', HELD, '--until', '1h', ...reason];
    await heldThrough(
      '2.0.0',
      hold,
      ['site', 'unhold', HELD, ...reason],
      /hold-1 at the centre by tester: no crew there/,
    );
    const { firstRunId = '' } = (await stage.rollout('relay-2.0.0-1')) ?? {};
    const found = (await stage.registry.findings(firstRunId)).filter(({ code }) => code === 'HELD');
    expect(found).toMatchObject([{ site: HELD, check: 'held', result: 'warn' }]);
    const history = await said(['history', HELD]);
    expect(history).toMatch(/hold of osl-02 by tester: no crew there/);
    expect(history).toMatch(/unhold of osl-02 by tester: no crew there/);
  }, 200_000);

  test('held at the centre while its command waits for it', async () => {
    await agent.stop();
    const label = await stage.begin({ version: '2.1.0' });
    const open = async () => (await stage.registry.openConverges(Date.now())).some(({ site }) => site === HELD);
    await until(open, 'the command under way');
    const reason = ['--reason', 'no crew there'];
    // The sweeper looks every minute: once in a while it has asked between the hold and this.
    expect(await said(['site', 'hold', HELD, ...reason])).toMatch(
      /a command is under way there: withdrawn, except|or it is being withdrawn already/,
    );
    await until(async () => (await rows(label))[0]?.outcome === 'deferred', 'it is withdrawn');
    agent = await stage.startSite(HELD);
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    expect(stage.loads(HELD)).not.toContain('2.1.0');
    await said(['site', 'unhold', HELD, ...reason]);
    expect((await stage.sealed(label, 100_000)).outcome).toBe('promoted');
    expect(stage.loads(HELD).filter((loaded) => loaded === '2.1.0')).toHaveLength(1);
  }, 200_000);

  test('observed only: nothing of it is changed, and the rollout goes on once its agent may change it', async () => {
    await agent.stop();
    agent = await stage.startSite(HELD, '--observe');
    const reported = async () => (await stage.registry.reports([HELD])).get(HELD)?.report.observing === true;
    await until(reported, 'the centre knows that it only observes');
    const [loaded, page] = [stage.loads(HELD), stage.livePage(HELD)];
    const label = await stage.begin({ version: '3.0.0' });
    const [deferred] = await until(async () => {
      const found = await rows(label);
      return found[0]?.outcome === 'deferred' && found;
    }, 'the observed site is deferred');
    expect(deferred?.reason).toMatchObject({ code: 'OBSERVING' });
    expect([stage.loads(HELD), stage.livePage(HELD)]).toEqual([loaded, page]);
    await agent.stop();
    agent = await stage.startSite(HELD);
    expect((await stage.sealed(label, 100_000)).outcome).toBe('promoted');
    expect(stage.loads(HELD).at(-1)).toBe('3.0.0');
  }, 200_000);
});
