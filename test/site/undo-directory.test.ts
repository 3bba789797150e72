/** The programs of an undo run in directories that may have rotted while the release was live. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sha256Hex } from '../../policies/signing/jcs.js';
import type { Agent } from '../../site/agent.js';
import { carryOut, controllerRelease, directoryRelease, inside, TestSite, until } from './test-site.js';

let site: TestSite;
const kari = { by: 'kari', reason: 'sparks' };

beforeEach(() => {
  site = new TestSite();
  site.write('state', 'healthy original');
});
afterEach(() => site.clear());

const controller = (n: number) => controllerRelease(site, n);

async function confirmed(agent: Agent, release: (n: number) => ReturnType<TestSite['publish']>) {
  for (const n of [1, 2]) {
    const result = await carryOut(agent, site, site.command(release(n), { generation: 2 * n }));
    expect(result).toMatchObject({ result: 'confirmed' });
  }
}

function directoryOf(agent: Agent, version: string): string {
  const { holdings, store } = inside(agent);
  const held = store.allHeld().find((one) => one.version === version);
  return holdings.directory(held?.root ?? '', Object.keys(held?.trees ?? {})[0]);
}
/** `reverted` or `safe-mode`. */
const ended = async (agent: Agent) =>
  until(() => agent.history(100).find(({ kind }) => kind === 'reverted' || kind === 'safe-mode'));

describe('an undo by programs', () => {
  it.each(['gone', 'rotten'])('is made though the program of the live release is %s', async (how) => {
    const agent = await site.start();
    await confirmed(agent, controller);
    const program = join(directoryOf(agent, '2.0.0'), 'ctl');
    if (how === 'gone') rmSync(program);
    else writeFileSync(program, 'no program');
    writeFileSync(site.path('state'), 'sick');
    expect(await ended(agent)).toMatchObject({ kind: 'reverted', detail: { cause: 'check' } });
    expect(readFileSync(site.path('state'), 'utf8')).toBe('healthy 1');
  });

  it('is made by the next process too, at its first try', async () => {
    const agent = await site.start();
    await confirmed(agent, controller);
    rmSync(join(directoryOf(agent, '2.0.0'), 'ctl'));
    await agent.stop();
    const tries: string[] = [];
    const warn = (_: object, message: string) => tries.push(message);
    const again = await site.start({ log: { debug: warn, info: warn, warn, error: warn } });
    again.revert('relay', kari);
    expect(await ended(again)).toMatchObject({ kind: 'reverted' });
    expect(tries).not.toContain('an undo failed, trying again');
  });

  it('is verified by the release gone back to though its directory has rotted', async () => {
    const agent = await site.start();
    await confirmed(agent, controller);
    writeFileSync(join(directoryOf(agent, '1.0.0'), 'state'), 'healthy 0');
    agent.revert('relay', kari);
    expect(await ended(agent)).toMatchObject({ kind: 'reverted' });
  });

  it('is tried with what is there, if nothing whole can be made', async () => {
    const agent = await site.start();
    await confirmed(agent, controller);
    const hex = sha256Hex('healthy 2');
    rmSync(join(directoryOf(agent, '2.0.0'), 'state'));
    rmSync(join(site.data, 'blobs', hex.slice(0, 2), hex));
    await agent.stop();
    const again = await site.start();
    again.revert('relay', kari);
    expect(await ended(again)).toMatchObject({ kind: 'reverted' });
    expect(readFileSync(site.path('state'), 'utf8')).toBe('healthy 1');
  });

  it('loads a directory from where it is whole', async () => {
    site.write('live/conf/page', 'healthy original');
    const target = site.path('live', 'conf');
    const driver = { type: 'directory', files: './files', target, reload: ['cp', 'page', site.path('loaded')] };
    const release = (n: number) =>
      site.publish(directoryRelease(site, `${n}.0.0`, { driver }), { 'files/page': `healthy ${n}` });
    const agent = await site.start();
    await confirmed(agent, release);
    writeFileSync(join(directoryOf(agent, '1.0.0'), 'page'), 'rotten 1');
    await agent.stop();
    const again = await site.start();
    again.revert('edge-proxy', kari);
    expect(await ended(again)).toMatchObject({ kind: 'reverted' });
    expect(readFileSync(site.path('loaded'), 'utf8')).toBe('healthy 1');
    expect(readdirSync(target)).toEqual(['page']);
  });
});
