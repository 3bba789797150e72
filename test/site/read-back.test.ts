/** After a fault of the disk all that is kept is read back, for minutes: beside all else, and for as long as the agent runs (H4). */
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Agent } from '../../site/agent.js';
import { callAgent } from '../../site/local/client.js';
import { carryOut, directoryRelease, TestSite, until } from './test-site.js';

let site: TestSite;
let slow: string[];
const page = () => readFileSync(site.path('live', 'conf', 'page'), 'utf8');
const kari = { by: 'kari', reason: 'a new disk' };
const scrubs = (agent: Agent) => agent.history(500).filter(({ kind }) => kind === 'scrubbed').length;

beforeEach(async () => {
  site = new TestSite();
  site.write('live/conf/page', 'healthy original');
  const agent = await site.start();
  for (const n of [1, 2]) {
    const one = site.publish(directoryRelease(site, `${n}.0.0`), { 'files/page': `healthy ${n}` });
    const result = await carryOut(agent, site, site.command(one, { generation: 2 * n }));
    expect(result).toMatchObject({ result: 'confirmed' });
  }
  await agent.stop();
  writeFileSync(join(site.data, 'storage-fault.json'), JSON.stringify({ code: 'STORAGE_FAULT', detail: 'EIO', at: 1 }));
  // Reading either takes for ever, as gigabytes on a slow disk seem to.
  slow = ['e', 'f'].map((hex) => join(site.data, 'blobs', hex.repeat(2), hex.repeat(64)));
  for (const path of slow) {
    mkdirSync(dirname(path), { recursive: true });
    execFileSync('mkfifo', [path]);
  }
});
afterEach(async () => {
  const ending = setInterval(() => slow.forEach(endRead), 20);
  await site.clear();
  clearInterval(ending);
});

/** False if nobody reads it. Whoever does comes to its end. */
function endRead(path: string): boolean {
  if (!existsSync(path)) return false;
  try {
    closeSync(openSync(path, constants.O_WRONLY | constants.O_NONBLOCK));
    return true;
  } catch {
    return false;
  }
}

it('[A32] the agent has started while it reads: it answers a person, and undoes what they want undone', async () => {
  const agent = await site.start();
  await agent.serveLocal();
  const status = await callAgent(site.data, 'status', {});
  expect(status).toMatchObject({ storage: { fault: { code: 'STORAGE_FAULT' } } });
  await callAgent(site.data, 'revert', { stream: 'edge-proxy', by: 'kari', reason: 'sparks' });
  await until(() => page() === 'healthy 1');
  expect(scrubs(agent)).toBe(0);
  await until(() => (slow.forEach(endRead), scrubs(agent) === 1));
  expect((await agent.report()).storage?.fault).toBeDefined();
});

it('a stop ends it with the file that is being read, and waits for that', async () => {
  const agent = await site.start();
  await new Promise((resolve) => setTimeout(resolve, 300));
  let stopped = false;
  const stopping = agent.stop().then(() => (stopped = true));
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(stopped).toBe(false);
  // One of the two was begun; nobody ever opens the other.
  const first = await until(() => slow.find(endRead));
  await stopping;
  expect(slow.filter((path) => path !== first).map(endRead)).toEqual([false]);
});

it('a person who says meanwhile that the disk was mended waits for it; then all is read for them', async () => {
  const [damaged = ''] = readdirSync(join(site.data, 'releases', 'edge-proxy'), { recursive: true })
    .map((path) => join(site.data, 'releases', 'edge-proxy', String(path)))
    .filter((path) => path.endsWith('/page') && readFileSync(path, 'utf8') === 'healthy 1');
  writeFileSync(damaged, 'healthy 0');
  const agent = await site.start();
  const mended = agent.mended(kari);
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect([scrubs(agent), (await agent.report()).storage?.fault?.code]).toEqual([0, 'STORAGE_FAULT']);
  const ending = setInterval(() => slow.forEach(endRead), 20);
  expect(await mended).toMatchObject({ healed: 0 });
  clearInterval(ending);
  expect([scrubs(agent), (await agent.report()).storage?.fault]).toEqual([2, undefined]);
  // Made anew once, by the first.
  expect(agent.history(500).filter(({ kind }) => kind === 'damage-healed')).toHaveLength(1);
});
