/** What a revert command undoes: what its own rollout switched to, and nothing that was there before (docs/decisions/0011). */
import { readFileSync } from 'node:fs';
import Database from 'libsql';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { undoesLive } from '../../policies/site/decide-command.js';
import type { Agent } from '../../site/agent.js';
import { carryOut, directoryRelease, resultOf, TestSite, until } from './test-site.js';

let site: TestSite;
const page = () => readFileSync(site.path('live', 'conf', 'page'), 'utf8');

beforeEach(() => {
  site = new TestSite();
  site.write('live/conf/page', 'healthy original');
});
afterEach(() => site.clear());

/** Healthy as its variable says. */
const release = (version: string, change: Record<string, unknown> = {}) => {
  const target = site.path('live', 'conf');
  const driver = { type: 'directory', files: './files', target, templates: ['page'] };
  const shape = directoryRelease(site, version, { vars: { mood: 'string' }, driver, ...change });
  return site.publish(shape, { 'files/page': `{{mood}} ${version}` });
};
const healthy = { vars: { mood: 'healthy' } };
const run = (name: string, verb: 'converge' | 'revert', tries = 1) => ({
  ...{ id: `${name}/${site.site}/edge-proxy/${verb}/${tries}`, rollout: name, verb, try: tries },
});

/** 1.0.0 brought by the rollout `first`. */
async function brought(agent: Agent, change: Record<string, unknown> = {}) {
  const one = release('1.0.0', change);
  const command = site.command(one, { ...run('first', 'converge'), ...healthy });
  expect(await carryOut(agent, site, command)).toMatchObject({ result: 'confirmed', changed: true });
  return one;
}

it('a revert that takes the place of the converge it is of answers that nothing was live, whatever that had superseded', async () => {
  const agent = await site.start();
  await brought(agent);
  const slow = { confirm: { within: '30s', healthyFor: '20s' } };
  const two = site.command(release('2.0.0', slow), { ...run('second', 'converge'), generation: 3, ...healthy });
  await agent.door.accept(site.sign(two));
  await until(() => agent.history(50).filter(({ kind }) => kind === 'watching').length === 2);
  const three = release('3.0.0');
  const revert = site.command(three, { ...run('third', 'revert'), generation: 6 });
  await Promise.all([
    agent.door.accept(site.sign(site.command(three, { ...run('third', 'converge'), generation: 5, ...healthy }))),
    agent.door.accept(site.sign(revert)),
  ]);
  const ended = async (id: string) =>
    resultOf(await agent.door.observe(id, AbortSignal.timeout(10_000), () => undefined));
  expect(await ended(revert.id)).toMatchObject({ result: 'reverted', changed: false, reason: { code: 'NOT_LIVE' } });
  expect(await ended(two.id)).toMatchObject({ result: 'superseded' });
  const undone = agent.history(50).filter(({ kind }) => kind === 'reverting');
  expect(undone).toMatchObject([{ detail: { cause: 'command', reason: { code: 'SUPERSEDED' } } }]);
  expect(page()).toBe('healthy 1.0.0');
});

describe('a revert of a release that another rollout had brought', () => {
  it('leaves it, where its own converge had nothing to change; it says whose it is, and later converges are stale', async () => {
    const agent = await site.start();
    const one = await brought(agent);
    const again = site.command(one, { ...run('second', 'converge'), generation: 3, ...healthy });
    expect(await carryOut(agent, site, again)).toMatchObject({ result: 'confirmed', changed: false });
    const revert = site.command(one, { ...run('second', 'revert'), generation: 4 });
    const answer = await carryOut(agent, site, revert);
    expect(answer).toMatchObject({
      ...{ result: 'reverted', changed: false, cause: 'command', live: { version: '1.0.0' } },
      reason: { code: 'NOT_LIVE', detail: '1.0.0 was live here before second, brought by first: it stays' },
      previous: { commandId: again.id, result: 'confirmed', changed: false },
    });
    expect([page(), (await agent.report()).streams['edge-proxy']]).toMatchObject([
      'healthy 1.0.0',
      { state: 'confirmed', live: { version: '1.0.0' }, generation: 4 },
    ]);
    const late = site.command(one, { ...run('second', 'converge', 2), generation: 3, ...healthy });
    expect(await carryOut(agent, site, late)).toMatchObject({ reason: { code: 'STALE' } });
  });

  it('leaves it with the variables that it had, where the site has gone back from others by itself', async () => {
    const agent = await site.start();
    const one = await brought(agent);
    const sick = site.command(one, { ...run('second', 'converge'), generation: 3, vars: { mood: 'sick' } });
    expect(await carryOut(agent, site, sick)).toMatchObject({ result: 'reverted', cause: 'check' });
    const answer = await carryOut(agent, site, site.command(one, { ...run('second', 'revert'), generation: 4 }));
    expect(answer).toMatchObject({
      ...{ result: 'reverted', changed: false, reason: { code: 'NOT_LIVE' } },
      previous: { commandId: sick.id, result: 'reverted', cause: 'check' },
    });
    expect(page()).toBe('healthy 1.0.0');
  });

  it('goes back to the variables that it had, where those of the rollout itself are live', async () => {
    const agent = await site.start();
    const one = await brought(agent);
    const two = site.command(one, { ...run('second', 'converge'), generation: 3, vars: { mood: 'very healthy' } });
    expect(await carryOut(agent, site, two)).toMatchObject({ result: 'confirmed', changed: true });
    const answer = await carryOut(agent, site, site.command(one, { ...run('second', 'revert'), generation: 4 }));
    expect([answer, page()]).toMatchObject([{ result: 'reverted', changed: true }, 'healthy 1.0.0']);
  });

  it('ends its own converge that is under way, with nothing switched', async () => {
    const agent = await site.start();
    const before = { exec: ['sh', '-c', `[ ! -e ${site.path('drags')} ] || sleep 10`], timeout: '20s' };
    const one = await brought(agent, { before });
    site.write('drags', '');
    const two = site.command(one, { ...run('second', 'converge'), generation: 3, vars: { mood: 'very healthy' } });
    await agent.door.accept(site.sign(two));
    await until(() => agent.history(50).some(({ kind, commandId }) => kind === 'staged' && commandId === two.id));
    const answer = await carryOut(agent, site, site.command(one, { ...run('second', 'revert'), generation: 4 }));
    expect([answer, page()]).toMatchObject([{ changed: false, previous: { result: 'superseded' } }, 'healthy 1.0.0']);
    const settled = await agent.door.observe(two.id, AbortSignal.timeout(5_000), () => undefined);
    expect(resultOf(settled)).toMatchObject({ result: 'superseded' });
  });

  it('is answered by an agent that only observes, for it asks for nothing', async () => {
    const agent = await site.start();
    const one = await brought(agent);
    await agent.stop();
    const looking = await site.start({ observe: true });
    const other = site.command(one, { ...run('second', 'revert'), generation: 4 });
    expect(await carryOut(looking, site, other)).toMatchObject({ result: 'reverted', changed: false });
    const own = site.command(one, { ...run('first', 'revert'), generation: 5 });
    expect(await carryOut(looking, site, own)).toMatchObject({ result: 'rejected', reason: { code: 'OBSERVING' } });
  });
});

describe('a revert of a release that its own rollout had brought', () => {
  it('undoes it, also after a further try that had nothing to change, and after a restart', async () => {
    const first = await site.start();
    const one = await brought(first);
    const again = site.command(one, { ...run('first', 'converge', 2), ...healthy });
    expect(await carryOut(first, site, again)).toMatchObject({ result: 'confirmed', changed: false });
    await first.stop();
    const agent = await site.start();
    const answer = await carryOut(agent, site, site.command(one, { ...run('first', 'revert'), generation: 2 }));
    expect([answer, page()]).toMatchObject([{ result: 'reverted', changed: true }, 'healthy original']);
  });

  it('undoes it where the books do not say who had brought it', async () => {
    const first = await site.start();
    const one = await brought(first);
    await first.stop();
    const books = new Database(`${site.data}/agent.db`);
    books.exec(`UPDATE releases SET body = json_remove(body, '$.switchedBy')`);
    books.close();
    const agent = await site.start();
    const answer = await carryOut(agent, site, site.command(one, { ...run('second', 'revert'), generation: 4 }));
    expect([answer, page()]).toMatchObject([{ result: 'reverted', changed: true }, 'healthy original']);
  });
});

describe('what a revert undoes', () => {
  const revert = { id: 'run-2/osl-01/edge-proxy/revert/1', digest: 'a' };
  it.each([
    ['nothing', undefined, false],
    ['another release', { digest: 'b', switchedBy: 'run-2/osl-01/edge-proxy/converge/1' }, false],
    ['its own', { digest: 'a', switchedBy: 'run-2/osl-01/edge-proxy/converge/3' }, true],
    ['of another rollout', { digest: 'a', switchedBy: 'run-1/osl-01/edge-proxy/converge/1' }, false],
    ['of nobody knows whom', { digest: 'a' }, true],
    ['brought by what is no command id', { digest: 'a', switchedBy: 'by-hand' }, true],
  ])('%s: %s', (_what, live, undone) => expect(undoesLive(revert, live)).toBe(undone));
});
