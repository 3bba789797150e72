/** A release whose directory is damaged is made anew when it is gone back to, and the books name what is live then. */
import { existsSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Agent } from '../../site/agent.js';
import { scrub } from '../../site/scrub/scrub.js';
import type { HeldRow } from '../../site/store/rows.js';
import { carryOut, inside, TestSite, until } from './test-site.js';

let site: TestSite;
const PARTS = ['config', 'relay'];
const target = (part: string) => site.path('live', part);
const shown = () => PARTS.map((part) => readFileSync(join(target(part), 'page'), 'utf8'));
const both = (text: string) => PARTS.map((part) => `${part} ${text}`);

beforeEach(() => {
  site = new TestSite();
  for (const part of PARTS) site.write(`live/${part}/page`, `${part} original`);
});
afterEach(() => site.clear());

function release(n: number) {
  const components = PARTS.map((name) => ({
    name,
    driver: { type: 'directory', files: `./${name}`, target: target(name) },
  }));
  const checks = [{ name: 'up', exec: ['true'], every: '50ms' }];
  const confirm = { within: '5s', healthyFor: '100ms' };
  const files = Object.fromEntries(PARTS.map((part) => [`${part}/page`, `${part} ${n}`]));
  return site.publish({ stream: 'edge-proxy', version: `${n}.0.0`, components, checks, confirm }, files);
}
async function confirm(agent: Agent, n: number) {
  const result = await carryOut(agent, site, site.command(release(n), { generation: 2 * n }));
  expect(result).toMatchObject({ result: 'confirmed', changed: true });
}
const held = (agent: Agent, n: number): HeldRow => {
  const found = inside(agent)
    .store.allHeld()
    .find(({ version }) => version === `${n}.0.0`);
  if (!found) throw new Error(`${n}.0.0 is not on the books`);
  return found;
};
const directory = (agent: Agent, row: HeldRow, part: string) => inside(agent).holdings.directory(row.root, part);

/** Damage that a process which has read it back already would not see: the next one has not. */
async function damaged(agent: Agent, n: number): Promise<{ again: Agent; old: string }> {
  const old = inside(agent).holdings.directory(held(agent, n).root);
  await agent.stop();
  writeFileSync(join(old, 'config', 'page'), 'rotten');
  return { again: await site.start(), old };
}
const undone = (agent: Agent) => until(() => agent.history(100).some(({ kind }) => kind === 'reverted'));
const kari = { by: 'kari', reason: 'sparks' };

/** The books name what is live, nothing has drifted, and only what nothing needs is removed. */
async function allIsWell(agent: Agent, n: number, old: string): Promise<void> {
  expect(shown()).toEqual(both(String(n)));
  for (const part of PARTS) expect(readlinkSync(target(part))).toBe(directory(agent, held(agent, n), part));
  const { drift } = (await agent.drift({})).streams['edge-proxy'] ?? {};
  expect(drift).toMatchObject({ total: 0, paths: [] });
  expect(await inside(agent).holdings.sweep()).toBe(true);
  expect([shown(), existsSync(old)]).toEqual([both(String(n)), false]);
  const again = await carryOut(agent, site, site.command(release(n), { generation: 50 }));
  expect(again).toMatchObject({ result: 'confirmed', changed: false });
}

describe('what is damaged, and gone back to', () => {
  it('[A32] by an undo: is made anew as a whole, and the books name it', async () => {
    const agent = await site.start();
    await confirm(agent, 1);
    await confirm(agent, 2);
    const { again, old } = await damaged(agent, 1);
    again.revert('edge-proxy', kari);
    await undone(again);
    await allIsWell(again, 1, old);
  });

  it('[A32] after a switch that found it: the books name it from the switch on, and so does its undo', async () => {
    const agent = await site.start();
    await confirm(agent, 1);
    const { again, old } = await damaged(agent, 1);
    await confirm(again, 2);
    const { undo } = held(again, 2);
    for (const part of PARTS) expect(undo[part]).toMatchObject({ to: directory(again, held(again, 1), part) });
    expect(await inside(again).holdings.sweep()).toBe(true);
    expect(existsSync(old)).toBe(false);
    again.revert('edge-proxy', kari);
    await undone(again);
    await allIsWell(again, 1, old);
  });

  it('[B11] after the scrub made it anew: every undo that named it names what there is now', async () => {
    const agent = await site.start();
    await confirm(agent, 1);
    await confirm(agent, 2);
    const { again, old } = await damaged(agent, 1);
    expect(await scrub(inside(again), { goOn: () => true, hurry: true })).toMatchObject({ healed: 1, damaged: [] });
    const { undo } = held(again, 2);
    for (const part of PARTS) expect(undo[part]).toMatchObject({ to: directory(again, held(again, 1), part) });
    again.revert('edge-proxy', kari);
    await undone(again);
    await allIsWell(again, 1, old);
  });

  it('[A32] is gone back to also while the books cannot be written; they are once they can', async () => {
    const agent = await site.start();
    await confirm(agent, 1);
    await confirm(agent, 2);
    const { again, old } = await damaged(agent, 1);
    const { store } = inside(again);
    const putHeld = store.putHeld.bind(store);
    store.putHeld = () => {
      throw new Error('no write is taken');
    };
    again.revert('edge-proxy', kari);
    await until(() => shown().every((text, index) => text === both('1')[index]));
    store.putHeld = putHeld;
    await undone(again);
    await allIsWell(again, 1, old);
  });

  it('[A32] goes back part by part where not all of it can be made anew', async () => {
    const agent = await site.start();
    await confirm(agent, 1);
    await confirm(agent, 2);
    const { again } = await damaged(agent, 1);
    const { holdings } = inside(again);
    const stageTrees = holdings.stageTrees.bind(holdings);
    holdings.stageTrees = async (wanted, trees) => {
      if (trees.size > 1) throw new Error('no room for all of it');
      return stageTrees(wanted, trees);
    };
    again.revert('edge-proxy', kari);
    await undone(again);
    expect(shown()).toEqual(both('1'));
    expect(await holdings.sweep()).toBe(true);
    expect(shown()).toEqual(both('1'));
  });
});

it('[A32] an undo to the very same files finds them changed while they were live, and makes them anew', async () => {
  const agent = await site.start();
  const page = join(target('config'), 'page');
  const slow = {
    ...{ stream: 'edge-proxy', version: '3.0.0', confirm: { within: '10s', healthyFor: '1s' } },
    components: PARTS.map((name) => ({
      name,
      driver: { type: 'directory', files: `./${name}`, target: target(name) },
    })),
    checks: [{ name: 'right', exec: ['grep', '-q', 'config', page], every: '50ms', failures: 2 }],
  };
  const published = site.publish(slow, { 'config/page': 'config 3', 'relay/page': 'relay 3' });
  expect(await carryOut(agent, site, site.command(published, { generation: 4 }))).toMatchObject({
    result: 'confirmed',
  });
  // What is live is not whole any more: the same release is switched to once more, from files of its own.
  writeFileSync(join(target('config'), 'by-hand'), 'extra');
  const again = carryOut(agent, site, site.command(published, { generation: 4, try: 2 }));
  await until(() => agent.history(100).filter(({ kind }) => kind === 'watching').length === 2);
  writeFileSync(page, 'rotten');
  expect(await again).toMatchObject({ result: 'reverted', reason: { code: 'CHECK_FAILED' } });
  expect(shown()).toEqual(both('3'));
});
