/** What is live against the confirmed release: found, told and put back by the real agent on a real disk. */
import { chmodSync, existsSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Agent } from '../../site/agent.js';
import type { DriftReport, SiteEvent } from '../../policies/model/report.js';
import { carryOut, directoryRelease, TestSite, until } from './test-site.js';

let site: TestSite;
beforeEach(() => {
  site = new TestSite();
  site.write('live/conf/page', 'healthy original');
});
afterEach(() => site.clear());

const live = (...path: string[]): string => site.path('live', 'conf', ...path);
const never = { driftEveryMs: 86_400_000 };
const rules = [
  { paths: ['cache/**', 'cache'], then: 'accept' },
  { paths: ['*.conf', 'gone'], then: 'repair' },
];
const files = { 'files/page': 'healthy 1', 'files/main.conf': 'workers 2', 'files/gone': 'x' };
const release = (change: Record<string, unknown> = {}) => site.publish(directoryRelease(site, '1.0.0', change), files);

async function confirmed(agent: Agent, change: Record<string, unknown> = {}): Promise<void> {
  const result = await carryOut(agent, site, site.command(release(change)));
  expect(result).toMatchObject({ result: 'confirmed' });
}
async function drift(agent: Agent): Promise<DriftReport | undefined> {
  return (await agent.drift({})).streams['edge-proxy']?.drift;
}
const told = (agent: Agent, kind: SiteEvent['kind']) => agent.history(500).filter((event) => event.kind === kind);
const named = (report: DriftReport | undefined) =>
  report?.paths.map(({ path, kind, policy }) => `${policy} ${kind} ${path}`);

describe('drift at a site', () => {
  it('[A46] is shown path by path, with its time, journaled once, and left alone unless the release says otherwise', async () => {
    const agent = await site.start(never);
    await confirmed(agent);
    expect(await drift(agent)).toMatchObject({ against: { version: '1.0.0' }, paths: [], total: 0 });
    writeFileSync(live('page'), 'healthy by hand');
    writeFileSync(live('added'), '');
    rmSync(live('gone'));
    chmodSync(live('main.conf'), 0o600);
    const before = Date.now();
    const found = await drift(agent);
    expect(named(found)).toEqual([
      'alert added added',
      'alert removed gone',
      'alert mode main.conf',
      'alert changed page',
    ]);
    expect(found?.since).toBeGreaterThanOrEqual(before);
    await drift(agent);
    expect(told(agent, 'drifted')).toHaveLength(1);
    expect(told(agent, 'drifted')[0]).toMatchObject({ stream: 'edge-proxy', detail: { total: 4 } });
    expect(readFileSync(live('page'), 'utf8')).toBe('healthy by hand');
    expect((await agent.report()).streams['edge-proxy']?.drift).toMatchObject({ since: found?.since, total: 4 });
  });

  it('[A16] [A46] is put back where the release says `repair`, in one step; what is accepted or only told of stays', async () => {
    const agent = await site.start(never);
    await confirmed(agent, { drift: rules });
    const first = readlinkSync(live());
    writeFileSync(live('main.conf'), 'workers 9');
    rmSync(live('gone'));
    site.write('live/conf/cache/deep/entry', 'warm');
    writeFileSync(live('page'), 'healthy by hand');
    const found = await drift(agent);
    expect(readFileSync(live('main.conf'), 'utf8')).toBe('workers 2');
    expect(existsSync(live('gone'))).toBe(true);
    expect(readFileSync(live('cache', 'deep', 'entry'), 'utf8')).toBe('warm');
    expect(readFileSync(live('page'), 'utf8')).toBe('healthy by hand');
    expect(readlinkSync(live())).not.toBe(first);
    // What was live before lies there as it was: it was not written to.
    expect(readFileSync(`${first}/main.conf`, 'utf8')).toBe('workers 9');
    expect(found).toMatchObject({
      repair: { result: 'repaired' },
      total: 1,
      paths: [{ path: 'page', policy: 'alert' }],
    });
    const put = told(agent, 'repaired')[0]?.detail['paths'] as { path: string }[];
    expect(put.map(({ path }) => path)).toEqual(['gone', 'main.conf']);
    // The repair is no command: its result, its state and the way back are what they were.
    expect((await agent.report()).streams['edge-proxy']).toMatchObject({ state: 'confirmed', generation: 1 });
    agent.revert('edge-proxy', { by: 'kari', reason: 'x' });
    await until(() => readFileSync(live('page'), 'utf8') === 'healthy original');
  });

  it('is put back whole when nothing of it is to be kept, also where the link points elsewhere, and reloaded', async () => {
    const agent = await site.start(never);
    const driver = {
      ...{ type: 'directory', files: './files', target: live() },
      reload: ['sh', '-c', `echo reloaded >> ${site.path('reloads')}`],
    };
    await confirmed(agent, { driver, drift: [{ paths: ['**'], then: 'repair' }] });
    const first = readlinkSync(live());
    site.write('elsewhere/page', 'healthy elsewhere');
    rmSync(live());
    symlinkSync(site.path('elsewhere'), live());
    expect(named(await drift(agent))).toEqual([]);
    expect(readlinkSync(live())).toBe(first);
    expect(readFileSync(site.path('reloads'), 'utf8')).toBe('reloaded\nreloaded\n');
    expect(readFileSync(site.path('elsewhere', 'page'), 'utf8')).toBe('healthy elsewhere');
    // Nothing differs: nothing is reloaded.
    await drift(agent);
    expect(readFileSync(site.path('reloads'), 'utf8')).toBe('reloaded\nreloaded\n');
  });

  it('waits while the site is held, and is put back once it is not', async () => {
    const agent = await site.start(never);
    await confirmed(agent, { drift: rules });
    agent.hold({ by: 'kari', reason: 'work' });
    writeFileSync(live('main.conf'), 'workers 9');
    expect(await drift(agent)).toMatchObject({
      total: 1,
      repair: { result: 'waits', why: /^HELD: held at the site by kari/ },
    });
    expect(readFileSync(live('main.conf'), 'utf8')).toBe('workers 9');
    agent.unhold({ by: 'kari', reason: 'done' });
    expect(await drift(agent)).toMatchObject({ total: 0 });
    expect(readFileSync(live('main.conf'), 'utf8')).toBe('workers 2');
  });

  it('waits for a window of the site, says so, and is put back in it', async () => {
    let now = Date.now();
    const clock = { now: () => now, elapsed: () => performance.now(), bootId: () => 'b' };
    const repairWindows = [{ from: '22:00', to: '04:00', zone: 'Europe/Oslo' }];
    const agent = await site.start({ ...never, clock, repairWindows });
    await confirmed(agent, { drift: rules });
    writeFileSync(live('main.conf'), 'workers 9');
    now = Date.parse('2031-03-30T02:00:00Z');
    // In the night in which the clocks go forward, four o'clock in Oslo comes an hour sooner.
    const why = 'the maintenance window is closed';
    expect(await drift(agent)).toMatchObject({ total: 1, repair: { result: 'waits', why } });
    expect(readFileSync(live('main.conf'), 'utf8')).toBe('workers 9');
    expect(told(agent, 'repaired')).toEqual([]);
    now -= 1_000;
    expect(await drift(agent)).toMatchObject({ total: 0 });
    expect(readFileSync(live('main.conf'), 'utf8')).toBe('workers 2');
  });

  it('is not put back from damaged files: it says so, and leaves what is live', async () => {
    const agent = await site.start(never);
    await confirmed(agent, { drift: [{ paths: ['**'], then: 'repair' }] });
    rmSync(`${site.data}/blobs`, { recursive: true });
    writeFileSync(live('main.conf'), 'workers 9');
    expect(await drift(agent)).toMatchObject({
      total: 1,
      repair: { result: 'failed', why: /no copy of them is whole/ },
    });
    expect(readFileSync(live('main.conf'), 'utf8')).toBe('workers 9');
  });

  it('is looked for by itself, and a command that comes during a repair waits for it and goes on', async () => {
    const agent = await site.start({ driftEveryMs: 50 });
    const driver = { type: 'directory', files: './files', target: live(), reload: ['sleep', '0.3'] };
    await confirmed(agent, { driver, drift: rules });
    writeFileSync(live('main.conf'), 'workers 9');
    await until(() => readFileSync(live('main.conf'), 'utf8') === 'workers 2');
    const two = site.publish(directoryRelease(site, '2.0.0'), { 'files/page': 'healthy 2' });
    expect(await carryOut(agent, site, site.command(two, { generation: 3 }))).toMatchObject({ result: 'confirmed' });
    expect(told(agent, 'repaired')).toHaveLength(1);
    // Nothing of the command came in between: it had been accepted while the reload of the repair went on.
    const kinds = agent.history(500).map((event) => event.kind);
    expect(kinds.lastIndexOf('accepted')).toBeLessThan(kinds.indexOf('repaired'));
    expect(kinds.indexOf('repaired')).toBeLessThan(kinds.lastIndexOf('staged'));
    expect(readFileSync(live('page'), 'utf8')).toBe('healthy 2');
  });

  it('that never ends to change is told ever less often, over restarts too; its end and what is put back always are', async () => {
    let now = Date.now();
    const clock = { now: () => now, elapsed: () => performance.now(), bootId: () => 'b' };
    let agent = await site.start({ ...never, clock });
    await confirmed(agent, { drift: [{ paths: ['main.conf'], then: 'repair' }] });
    for (let look = 1; look <= 24; look++, now += 600_000) {
      for (let n = 1; n <= 3; n++) site.write(`live/conf/sessions/${look}-${n}`, '');
      expect(await drift(agent)).toMatchObject({ total: 3 * look + 1 });
      if (look % 6 !== 0) continue;
      await agent.stop();
      agent = await site.start({ ...never, clock });
    }
    expect(told(agent, 'drifted').map(({ detail }) => detail['total'])).toEqual([4, 7, 25, 61]);
    expect(told(agent, 'drifted').at(-1)?.detail['paths']).toHaveLength(10);
    const { drift: reported } = (await agent.report()).streams['edge-proxy'] ?? {};
    expect([reported?.total, reported?.paths.length]).toEqual([73, 50]);
    expect(reported).not.toHaveProperty('told');
    writeFileSync(live('main.conf'), 'workers 9');
    expect(await drift(agent)).toMatchObject({ total: 73, repair: { result: 'repaired' } });
    expect(told(agent, 'repaired')).toMatchObject([{ detail: { paths: [{ path: 'main.conf' }], total: 1 } }]);
    expect(told(agent, 'drifted')).toHaveLength(4);
    rmSync(live('sessions'), { recursive: true });
    expect(await drift(agent)).toMatchObject({ total: 0 });
    expect(told(agent, 'drifted').at(-1)).toMatchObject({ detail: { paths: [], total: 0 } });
  });

  it('of an exec component is what its `verify` says; repaired, it is applied again', async () => {
    const state = site.write('state', 'old');
    const script = (text: string) => ({ text: `#!/bin/sh\n${text}\n`, mode: 0o755 });
    const exec = site.publish(
      {
        ...{ stream: 'edge-proxy', version: '1.0.0', checks: 'none', because: 'test' },
        driver: {
          ...{ type: 'exec', files: './relay', apply: ['./ctl', 'apply'], verify: ['./ctl', 'verify'] },
          ...{ revert: ['./ctl', 'revert'], save: ['./ctl', 'save'] },
        },
        drift: [{ paths: ['.'], then: 'repair' }],
        confirm: { within: '5s', healthyFor: '0s' },
      },
      {
        'relay/ctl': script(
          `case $1 in apply) echo new > ${state};; verify) grep -q new ${state};; save) cp ${state} $FOOTHOLD_SAVED;; revert) cp $FOOTHOLD_SAVED ${state};; esac`,
        ),
      },
    );
    const agent = await site.start(never);
    expect(await carryOut(agent, site, site.command(exec))).toMatchObject({ result: 'confirmed' });
    writeFileSync(state, 'fiddled with');
    expect(await drift(agent)).toMatchObject({ total: 0, repair: { result: 'repaired' } });
    expect(readFileSync(state, 'utf8')).toBe('new\n');
  });
});

describe('an observing agent', () => {
  const observing = { observe: true, driftEveryMs: 50 };
  const nothingChanged = () => {
    expect(readFileSync(live('page'), 'utf8')).toBe('healthy original');
    expect(() => readlinkSync(live())).toThrow();
    expect(existsSync(site.path('reloads'))).toBe(false);
  };
  const driver = () => ({
    ...{ type: 'directory', files: './files', target: live() },
    reload: ['touch', site.path('reloads')],
  });

  it('[B44] tells what is live and how it differs from a release, and changes nothing', async () => {
    const one = release({ driver: driver(), drift: [{ paths: ['**'], then: 'repair' }] });
    const agent = await site.start(observing);
    const status = await agent.drift({ like: { stream: 'edge-proxy', like: { version: one.version } } });
    expect(status).toMatchObject({ observing: true });
    const found = status.streams['edge-proxy']?.drift;
    expect(found).toMatchObject({ against: { version: '1.0.0', digest: one.digest }, adoptable: 'yes', total: 3 });
    expect(named(found)).toEqual(['repair removed gone', 'repair removed main.conf', 'repair changed page']);
    // It goes on looking by itself.
    site.write('live/conf/gone', 'x');
    await until(() => agent.history(500).filter(({ kind }) => kind === 'drifted').length === 2);
    rmSync(live('gone'));
    nothingChanged();
  });

  it('refuses a converge without taking it in: the same command is carried out by an agent that may', async () => {
    const command = site.command(release({ driver: driver() }));
    const agent = await site.start(observing);
    expect(await carryOut(agent, site, command)).toMatchObject({ result: 'rejected', reason: { code: 'OBSERVING' } });
    const revert = site.command(release({ driver: driver() }), { verb: 'revert', generation: 1, id: 'undo' });
    expect(await carryOut(agent, site, revert)).toMatchObject({ result: 'reverted', changed: false });
    expect(() => agent.revert('edge-proxy', { by: 'kari', reason: 'x' })).toThrow(/--observe/);
    await expect(agent.adopt({ stream: 'edge-proxy', like: { version: '1.0.0' } })).rejects.toMatchObject({
      code: 'OBSERVING',
    });
    nothingChanged();
    await agent.stop();
    const acting = await site.start(never);
    const later = { ...command, generation: 2 };
    expect(await carryOut(acting, site, later)).toMatchObject({ result: 'confirmed' });
  });

  it('leaves what is live to be undone to an agent that may: the undo stays owed', async () => {
    const acting = await site.start(never);
    await confirmed(acting);
    await acting.stop();
    const agent = await site.start(observing);
    const revert = site.command(release(), { verb: 'revert', generation: 2 });
    expect(await carryOut(agent, site, revert)).toMatchObject({ result: 'rejected', reason: { code: 'OBSERVING' } });
    expect(readFileSync(live('page'), 'utf8')).toBe('healthy 1');
    await agent.stop();
    const again = await site.start(never);
    expect(await carryOut(again, site, revert)).toMatchObject({ result: 'reverted', changed: true });
  });

  it('undoes nothing by itself either: what turns sick under it stays live, and an agent that may undoes it', async () => {
    const acting = await site.start(never);
    await confirmed(acting);
    await acting.stop();
    const target = readlinkSync(live());
    writeFileSync(live('page'), 'sick');
    const agent = await site.start(observing);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(agent.history(500).map(({ kind }) => kind)).not.toContain('reverting');
    expect(readlinkSync(live())).toBe(target);
    await agent.stop();
    await site.start(never);
    await until(() => !existsSync(live('page')) || readFileSync(live('page'), 'utf8') === 'healthy original');
  });

  it('does not start where something is half done: nobody would undo it', async () => {
    const acting = await site.start(never);
    await acting.door.accept(site.sign(site.command(release({ confirm: { within: '20s', healthyFor: '20s' } }))));
    await until(() => told(acting, 'watching').length === 1);
    await acting.stop();
    await expect(site.start(observing)).rejects.toMatchObject({ code: 'AGENT_BUSY' });
  });
});
