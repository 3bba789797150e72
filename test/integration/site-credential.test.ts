/** A site whose Temporal credential is revoked in mid-change: the change ends alone, and a renewed one brings its result. */
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { RunningProcess } from '../../infra/dev/process.js';
import { FaultStage, until } from './fault-stage.js';
import { accountOf, askMeanwhile, comesTo, linkIs, NOT_WITH_THE_LINK, TOGETHER, writeAgentFile } from './link-stage.js';
import { CLIENTS, TlsGate, type Client } from './tls-gate.js';

const SITE = 's1';

let stage: FaultStage;
let gate: TlsGate;
let agent: RunningProcess;

/** The same two files whoever's certificate it is: as whatever renews them would do. */
function issue(client: Client): void {
  for (const kind of ['key', 'pem']) copyFileSync(gate.file(`${client}.${kind}`), join(stage.root, `site.${kind}`));
}

beforeAll(async () => {
  stage = await FaultStage.open({ sites: [SITE], settleWithin: '180s' });
  stage.write('strategies/together.yaml', TOGETHER);
  const certificates = join(stage.root, 'tls');
  mkdirSync(certificates);
  gate = await TlsGate.start(stage.temporal.address, certificates);
  issue('first');
  const profile = `[profile.default]
[profile.site.tls]
server_ca_cert_path = ${JSON.stringify(gate.file('ca.pem'))}
client_cert_path = ${JSON.stringify(join(stage.root, 'site.pem'))}
client_key_path = ${JSON.stringify(join(stage.root, 'site.key'))}
`;
  writeFileSync(join(stage.root, 'none.toml'), profile);
  await stage.startDepot();
  await stage.startWorker();
  writeAgentFile(stage, SITE, stage.depotUrl);
  agent = await stage.startSite(SITE, '--address', gate.address, '--profile', 'site');
  await until(async () => (await stage.registry.reports([SITE])).size === 1, 'the site has reported');
});
afterAll(async () => {
  await stage.close();
  await gate.stop();
});

function revoke(client: Client): void {
  for (const one of CLIENTS) gate.accept(one);
  gate.refuse(client);
  gate.hangUp();
}

/** The rollout begins, and the credential is good no more once the site watches: for longer than an echo may take to tell. */
async function revokedWhileWatching(version: string, client: Client): Promise<string> {
  const label = await stage.begin({ version, healthyFor: '45s' }, 'together');
  await comesTo(stage, SITE, 'watching', version);
  const from = Date.now();
  revoke(client);
  const link = await linkIs(stage, SITE, 'down');
  expect(link.cause).toMatch(/cannot be reached|did not answer|namespace default on/);
  expect(link.since).toBeGreaterThanOrEqual(from);
  return label;
}

async function expectUntold(label: string, ends: string): Promise<void> {
  const { firstRunId = '' } = (await stage.rollout(label)) ?? {};
  expect((await stage.registry.siteRows(firstRunId)).map(({ outcome }) => outcome)).not.toContain(ends);
  expect((await stage.statusOf(SITE)).link?.state).toBe('down');
  expect(agent.running()).toBe(true);
}

it('[A12] [A34] a good change is confirmed alone; with a renewed credential it is counted once', async () => {
  const label = await revokedWhileWatching('1.0.0', 'first');
  const asking = askMeanwhile(stage, [SITE]);
  await comesTo(stage, SITE, 'confirmed', '1.0.0');
  expect((await asking.end()).get(SITE)?.slowest).toBeLessThan(NOT_WITH_THE_LINK);
  await expectUntold(label, 'confirmed');
  issue('second');
  await linkIs(stage, SITE, 'up');
  expect(await stage.sealed(label, 120_000)).toMatchObject({ outcome: 'promoted' });
  expect(await accountOf(stage, label, SITE)).toMatchObject({ outcome: 'confirmed', counted: 1 });
  expect(gate.seen).toContain('second');
});

it('[A32] [A34] a bad one is undone alone by its check; with a renewed credential it is counted once', async () => {
  const label = await revokedWhileWatching('1.1.0', 'second');
  stage.makeIll(SITE, '1.1.0');
  await comesTo(stage, SITE, 'reverted', '1.0.0');
  await expectUntold(label, 'reverted');
  issue('first');
  await linkIs(stage, SITE, 'up');
  await until(async () => (await accountOf(stage, label, SITE)).counted > 0, 'it is counted');
  expect(await stage.endOf(['abort', label, '--reason', 'nobody can run it'])).toMatchObject({ code: 0 });
  await stage.sealed(label, 120_000);
  expect(await accountOf(stage, label, SITE)).toMatchObject({ outcome: 'reverted', cause: 'check', counted: 1 });
  expect((await stage.journalOf(SITE)).filter(({ kind }) => kind === 'started').length).toBe(1);
});
