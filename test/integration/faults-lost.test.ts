/** The database of Temporal is lost with a rollout in it: only a person gives the rollout up, and then all goes on. */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunningProcess } from '../../infra/dev/process.js';
import { CATCH_UP } from '../../policies/model/debt.js';
import { callAgent } from '../../site/local/client.js';
import { FaultStage, until } from './fault-stage.js';
import { writeAgentFile } from './link-stage.js';

const SITES = ['s1', 's2'];
const WHY = 'the disk of Temporal is gone';

let stage: FaultStage;
let worker: RunningProcess;
const sites = new Map<string, RunningProcess>();
let label = '';

beforeAll(async () => {
  stage = await FaultStage.open({ sites: SITES, settleWithin: '120s' });
  await stage.startDepot();
  worker = await stage.startWorker();
  for (const site of SITES) writeAgentFile(stage, site, stage.depotUrl);
  for (const site of SITES) sites.set(site, await stage.startSite(site));
  await until(async () => (await stage.registry.reports(SITES)).size === SITES.length, 'every site has reported');
  expect((await stage.sealed(await stage.begin({ version: '1.0.0' }))).outcome).toBe('promoted');
});
afterAll(() => stage.close());

const giveUp = (...more: string[]) => stage.endOf(['abort', label, '--lost', '--reason', WHY, ...more]);
const stateNow = async () => (await stage.rollout(label))?.state;

async function loseTemporal(): Promise<void> {
  await Promise.all([worker.crash(), stage.temporal.crash()]);
  const directory = join(stage.root, 't');
  const files = readdirSync(directory).filter((file) => file.startsWith('temporal.db'));
  expect(files).toContain('temporal.db');
  for (const file of files) rmSync(join(directory, file));
}

describe('abort --lost', () => {
  it('[B36] is refused while Temporal has the rollout, and while it cannot say', async () => {
    label = await stage.begin({ version: '1.1.0', healthyFor: '20s' }, 'steps');
    await until(async () => (await stage.statusOf('s1')).streams['relay']?.state === 'watching', 's1 watches');
    await sites.get('s1')?.crash();
    const known = await giveUp();
    expect([known.code, known.said]).toEqual([2, expect.stringContaining('NOT_LOST')]);
    const reverted = await stage.endOf(['revert', label, '--reason', 'to owe an undo']);
    expect(reverted).toMatchObject({ code: 0 });
    const owed = async () => (await stage.registry.debts({ verb: 'revert' }))[0]?.carrier !== undefined;
    await until(owed, 's1 owes an undo, and who carries it is on the books');
    await loseTemporal();
    const away = await giveUp();
    expect([away.code, away.said]).toEqual([3, expect.stringContaining('TEMPORAL_UNREACHABLE')]);
    expect((await stage.foothold(['status', label])).stdout).toContain('note: Temporal could not be asked');
    expect(await stateNow()).toBe('reverting');
  });

  it('[B36] changes nothing where no control worker obeys it, nor later when one is back; a sweep leaves the rollout alone', async () => {
    await stage.temporal.restart();
    // It answers now, and what it answers is not that it could not be asked.
    const said = (await stage.foothold(['status', label])).stdout;
    expect(said).toContain('note: Temporal answers, and does not have this rollout');
    expect(said).toContain(`foothold abort ${label} --lost`);
    expect(said).not.toContain('could not be asked');
    const { stdout } = await stage.foothold(['status', label, '--json']);
    expect(JSON.parse(stdout)).toMatchObject({ temporal: { kind: 'not-found' } });
    const watched = await stage.endOf(['watch', label]);
    expect(watched).toMatchObject({
      code: 1,
      said: expect.stringContaining('Temporal answered, and has no') as string,
    });
    const absent = await stage.foothold(['abort', label, '--lost', '--reason', WHY], 60_000);
    expect([absent.code, absent.stderr]).toEqual([3, expect.stringContaining('WORKER_ABSENT')]);
    worker = await stage.startWorker();
    const plain = await until(async () => {
      const said = await stage.endOf(['abort', label, '--reason', WHY]);
      return said.code === 2 && said;
    }, 'an answer without --lost');
    expect(plain.said).toContain(`foothold abort ${label} --lost`);
    const swept = await stage.temporalCli([
      ...['workflow', 'execute', '--type', 'sweep', '--task-queue', 'foothold', '--workflow-id', 'sweep-by-hand'],
      ...['--output', 'json'],
    ]);
    expect([swept.code, swept.stdout]).toEqual([0, expect.stringContaining(label)]);
    await sleep(2_000);
    expect(await stateNow()).toBe('reverting');
    expect(await stage.registry.debts()).toMatchObject([
      { site: 's1', verb: 'revert', carrier: expect.anything() as string },
    ]);
  });

  it('[B36] seals it as terminated with who and why; its undo passes on, is carried, and a new rollout begins', async () => {
    const before = await stage.rollout(label);
    const dry = await giveUp('--dry-run');
    expect([dry.code, await stateNow()]).toEqual([0, 'reverting']);
    const given = await giveUp('--by', 'kari');
    expect(given).toMatchObject({ code: 0, said: expect.stringContaining('as terminated') as string });
    const sealed = await stage.rollout(label);
    expect(sealed).toMatchObject({ state: 'sealed', outcome: 'terminated', reason: { code: 'WORKFLOW_UNKNOWN' } });
    expect(sealed?.reason?.detail).toContain(`given up by kari: ${WHY}`);
    expect(await stage.verified(label)).toMatchObject({ ok: true, kinds: { sealed: 1 } });
    const told = (await stage.registry.evidence(sealed?.firstRunId ?? '')).find(({ kind }) => kind === 'sealed');
    expect(told?.data).toMatchObject({ by: 'kari', outcome: 'terminated', lastSaid: 'reverting' });
    expect(await stage.registry.debts()).toMatchObject([{ site: 's1', verb: 'revert', owner: CATCH_UP }]);
    expect((await giveUp()).said).toContain('NOTHING_RUNNING');

    sites.set('s1', await stage.startSite('s1'));
    await until(async () => (await stage.registry.debts()).length === 0, 's1 has undone it', 120_000);
    expect(stage.livePage('s1')).toBe('healthy 1.0.0\n');
    const next = await stage.begin({ version: '1.2.0' });
    expect((await stage.sealed(next, 90_000)).outcome).toBe('promoted');
    expect((await stage.rollout(next))?.generation).toBeGreaterThan((before?.generation ?? 0) + 1);
    expect(SITES.map((site) => stage.livePage(site))).toEqual(['healthy 1.2.0\n', 'healthy 1.2.0\n']);
  });

  it('O3: what it had taken and nobody had recorded, the site tells the next one, over the connection that it has', async () => {
    await worker.crash();
    const held = { by: 'kari', reason: 'told to nobody', lasts: 3_600_000 };
    await callAgent(join(stage.root, 's1', 'data'), 'hold', held, 5_000);
    const taken = ['workflow', 'describe', '--workflow-id', 'inbox/s1', '--output', 'json'];
    await until(async () => (await stage.temporalCli(taken)).stdout.includes('_RUNNING'), 'Temporal has taken it');
    await loseTemporal();
    await stage.temporal.restart();
    worker = await stage.startWorker();
    const recorded = async () => (await stage.registry.siteEvents('s1', 50)).some(({ kind }) => kind === 'held');
    // By its next echo; the next report of a fibre is minutes away.
    await until(recorded, 'the hold is recorded', 60_000);
  });
});
