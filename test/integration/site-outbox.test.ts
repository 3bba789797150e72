/** What a site measures and logs, over a real link: recorded once, acknowledged, deleted at the site, and shown. */
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RunningProcess } from '../../infra/dev/process.js';
import { run } from '../../infra/dev/run.js';
import type { OutboxEntry } from '../../policies/model/telemetry.js';
import { judgeOutbox } from '../../policies/signing/outbox-chain.js';
import { FaultStage, until } from './fault-stage.js';

const SITE = 'osl-01';
let stage: FaultStage;
let agent: RunningProcess;
beforeAll(async () => {
  stage = await FaultStage.open({ sites: [SITE] });
  await stage.startDepot();
  await stage.startWorker();
  agent = await stage.startSite(SITE);
  await until(async () => (await stage.registry.reports([SITE])).size === 1, 'its first report');
});
afterAll(() => stage.close());

const known = async () => (await stage.registry.siteOutbox(SITE, 1_000)).entries;
const keyOf = ({ epoch, priority, sequence }: OutboxEntry) => `${epoch}/${priority}/${sequence}`;
const operator = async (verb: string) => {
  const said = await stage.foothold(['agent', verb, '--config', stage.agentConfig(SITE), '--reason', 'to be heard']);
  expect([said.code, said.stderr]).toEqual([0, '']);
};

const waiting = async () => {
  const { outbox } = await stage.statusOf(SITE);
  return (outbox?.performance.entries ?? NaN) + (outbox?.routine.entries ?? NaN);
};

async function inboxEnded(): Promise<boolean> {
  const { stdout } = await stage.temporalCli(['workflow', 'describe', '--workflow-id', `inbox/${SITE}`, '-o', 'json']);
  return stdout.includes('WORKFLOW_EXECUTION_STATUS_COMPLETED');
}

/** Prints the outbox of the database that it is given. In a process of its own: libsql lets go of a file when it pleases. */
const READ = `
  import Database from 'libsql';
  const db = new Database(process.argv[1]);
  console.log(JSON.stringify(db.prepare('SELECT body FROM outbox').all([])));
`;

/** What the site keeps, by its own files: nobody else may read them while the agent runs. */
async function kept(): Promise<string[]> {
  const database = join(stage.root, SITE, 'data', 'agent.db');
  const read = await run(process.execPath, ['--input-type=module', '--eval', READ, database]);
  expect([read.code, read.stderr]).toEqual([0, '']);
  return (JSON.parse(read.stdout) as { body: string }[]).map(({ body }) => keyOf(JSON.parse(body) as OutboxEntry));
}

test('[A40] windows of samples and a logged warning reach the registry once, and leave the site once it is known there', async () => {
  // What the depot cannot give, the site says that it cannot fetch, and tries on.
  await stage.publish({ version: '1.0.0' });
  const [blobs, away] = ['depot/blobs', 'away'].map((path) => join(stage.project, path)) as [string, string];
  await rename(blobs, away);
  const label = await stage.begin({ version: '1.0.0' }, 'steps', 'as it lies there');
  await until(async () => stage.logsOf(`site-${SITE}`).includes('fetching failed'), 'the warning');
  await rename(away, blobs);
  expect((await stage.sealed(label)).outcome).toBe('promoted');
  // The windows of the checks close with the agent.
  await agent.stop();
  const before = await kept();
  for (const priority of ['performance', 'routine']) expect(before.some((key) => key.includes(priority))).toBe(true);

  agent = await stage.startSite(SITE);
  await until(async () => {
    const recorded = new Set((await known()).map(keyOf));
    return before.every((key) => recorded.has(key));
  }, 'what was kept is recorded');
  // Nothing is deleted before it is acknowledged: by the end of the site's own inbox, for which it asks with its next delivery.
  expect(await waiting()).toBe(before.length);
  await operator('hold');
  const held = async () => (await stage.registry.siteEvents(SITE, 50)).some(({ kind }) => kind === 'held');
  await until(held, 'the own inbox has told it all');
  await until(inboxEnded, 'the end of the inbox');
  await operator('unhold');
  await until(async () => (await waiting()) === 0, 'what is recorded is deleted at the site');

  const entries = await known();
  expect(new Set(entries.map(keyOf)).size).toBe(entries.length);
  for (const priority of ['performance', 'routine'] as const) {
    expect(judgeOutbox(entries.filter((one) => one.priority === priority).map((entry) => ({ entry })))).toEqual({
      ok: true,
    });
  }
  const show = await stage.foothold(['site', 'show', SITE]);
  expect(show.stdout).toContain('last of what it measured and logged');
  expect(show.stdout).toMatch(/foothold\.check\.passing 1 \(\d+ samples in .*foothold\.check=healthy/);
  expect(show.stdout).toMatch(/WARN fetching failed, trying again/);
}, 180_000);
