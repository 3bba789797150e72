/**
 * A process of its own that works on a registry, started by `registry-processes.test.ts`:
 * `node writer.js JOB URL NAME COUNT GO`. Prints one line for each transaction that is committed.
 */
import { existsSync } from 'node:fs';
import { openRegistry } from '../../../records/registry/open.js';
import { commandId, frozenPlan, Journal, key, PLACE, report, result, settled } from './facts.js';

const [job, url = '', name = '', count = '0', go = ''] = process.argv.slice(2);
if (job === 'freeze') await begin();
const registry = await openRegistry(url);
if (job === 'append') await append();
else if (job === 'append-together') await appendTogether();
else if (job === 'freeze') await freeze();
else if (job === 'work') await work();
else await holdLock();

/** Two transactions a turn, both into chains and rows that the other processes write too. */
async function append(): Promise<void> {
  for (let turn = 0; turn < Number(count); turn += 1) {
    await registry.appendEvidence(key('run-1', `${name}-${turn}`), [{ kind: 'gate', data: { name, turn } }], 1_000);
    console.log(`append ${turn}`);
    const site = `${name}-${turn}`;
    const journal = new Journal(site);
    journal.add('accepted', { commandId: commandId('run-1', site) });
    const ended = result(commandId('run-1', site), 'confirmed');
    journal.ended(ended);
    await registry.recordSettled(
      key('run-1', `s-${site}`),
      PLACE,
      [settled(ended, journal.events, report(site))],
      1_000,
    );
    console.log(`settle ${turn}`);
  }
  await registry.close();
}

/** Begins when the parent says so: two processes that started one after the other would hardly meet. */
async function begin(): Promise<void> {
  console.log('ready');
  while (!existsSync(go)) await new Promise((wait) => setTimeout(wait, 1));
}

async function appendTogether(): Promise<void> {
  await begin();
  await append();
}

/** Takes up work beside others, and ends well. */
async function work(): Promise<void> {
  await registry.lockForWorker(name);
  console.log('working');
  await begin();
  await registry.close();
}

async function freeze(): Promise<void> {
  const own = await registry.freeze(frozenPlan(), { firstRunId: `run-${name}`, workflowId: name }, 1_000);
  const same = await registry.freeze(frozenPlan(), { firstRunId: 'run-same', workflowId: 'same' }, 1_000);
  console.log(JSON.stringify({ own, same }));
  await registry.close();
}

async function holdLock(): Promise<void> {
  await registry.lockForWorker(name);
  console.log('locked');
  setInterval(() => undefined, 60_000);
}
