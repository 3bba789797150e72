/** The operator's door from the outside: the built command as child processes, with a real Temporal, depot, worker and site. */
import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '../../infra/dev/ports.js';
import { answers, startProcess, type RunningProcess } from '../../infra/dev/process.js';
import { run, type Ran } from '../../infra/dev/run.js';
import { startTemporal, type TemporalServer } from '../../infra/dev/temporal.js';

/** Built by the set-up of `npm test`. */
const MAIN = resolve(import.meta.dirname, '../../dist/cli/main.js');

const STRATEGY = (soak: string): string => `apiVersion: foothold/v1
kind: Strategy
name: by-hand
owner: on-call
defaults: { gate: none, because: nothing to measure here, soak: ${soak}, budget: { failed: 0, owed: 0 } }
stages: [{ name: all, waves: [0, 100%] }]
onInconclusive: { within: 10m, then: stay }
`;

let root: string;
let project: string;
let temporal: TemporalServer;
let worker: RunningProcess;
let site: RunningProcess;
let env: NodeJS.ProcessEnv;
const toStop: (() => Promise<void>)[] = [];

function foothold(argv: string[], cwd = project): Promise<Ran> {
  return run(process.execPath, [MAIN, ...argv], { cwd, env });
}
function start(name: string, args: string[], ready?: () => Promise<boolean>): Promise<RunningProcess> {
  const options = { name, directory: join(root, 'logs'), path: process.execPath, args: [MAIN, ...args], cwd: project };
  return startProcess({ ...options, env: { ...process.env, ...env }, ...(ready ? { ready } : {}) });
}

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'fh-'));
  toStop.push(async () => {
    rmSync(root, { recursive: true, force: true });
  });
  project = join(root, 'p');
  await mkdir(project);
  temporal = await startTemporal({ directory: join(root, 't'), searchAttributes: {} });
  toStop.push(() => temporal.stop());
  await writeFile(join(root, 'none.toml'), '[profile.default]\n');
  env = {
    TEMPORAL_ADDRESS: temporal.address,
    TEMPORAL_CONFIG_FILE: join(root, 'none.toml'),
    FOOTHOLD_BY: 'tester',
    NO_COLOR: '',
  };
  await foothold(['init']);
});
afterAll(async () => {
  for (const stop of toStop.reverse()) await stop();
});

test('doctor names what is missing in Temporal with the command that mends it, and --fix mends it', async () => {
  const before = JSON.parse((await foothold(['doctor', '--json'])).stdout) as { checks: { what: string }[] };
  const attributes = (checks: { what: string }[]) => checks.find((one) => one.what === 'search attributes');
  expect(attributes(before.checks)).toMatchObject({
    result: 'missing',
    mend: expect.stringContaining('temporal operator search-attribute create') as string,
  });
  const fixed = JSON.parse((await foothold(['doctor', '--fix', '--json'])).stdout) as { checks: { what: string }[] };
  expect(attributes(fixed.checks)).toMatchObject({ result: 'mended' });
  const again = JSON.parse((await foothold(['doctor', '--json'])).stdout) as { checks: { what: string }[] };
  expect(attributes(again.checks)).toMatchObject({ result: 'ok' });
});

describe('one rollout, as an operator drives it', () => {
  beforeAll(async () => {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}/`;
    await writeProject(url);
    const serve = ['depot', 'serve', 'depot', '--listen', `127.0.0.1:${port}`];
    const depot = await start('depot', serve, () => answers(`${url}releases/_streams.json`));
    toStop.push(() => depot.stop());
    worker = await start('worker', ['worker', 'run']);
    toStop.push(() => worker.stop());
    await writeFile(join(root, 'agent.yaml'), agentFile(url));
    site = await start('site', ['agent', 'run', '--config', join(root, 'agent.yaml')]);
    toStop.push(() => site.stop());

    const taken = await foothold(['depot', 'serve', 'depot', '--listen', `127.0.0.1:${port}`]);
    expect([taken.code, taken.stderr]).toEqual([3, expect.stringContaining('error PORT_IN_USE')]);
  });

  test('start, a second start, the wait, pause and resume, promote, watch', async () => {
    const started = await foothold(['start', 'relay@1.0.0', 'strategies/by-hand.yaml', '--reason', 'CVE', '--json']);
    expect(started.code).toBe(0);
    const { rollout } = JSON.parse(started.stdout) as { rollout: { label: string } };
    expect(rollout.label).toBe('relay-1.0.0-1');
    expect(started.stderr).toContain('imported strategy by-hand');

    const locked = await foothold(['start', 'relay@1.0.0', 'by-hand']);
    expect([locked.code, locked.stdout]).toEqual([1, expect.stringMatching(/^REFUSED · STREAM_LOCKED: /)]);

    await until(async () => (await foothold(['status', 'relay'])).stdout.startsWith('NEEDS YOU'));
    const waits = await foothold(['status', 'relay']);
    expect(waits.code).toBe(0);
    expect(waits.stdout).toMatch(
      /^NEEDS YOU by .*\d\d:\d\d · stage all waits: WAVE_HELD .* · at .*\d\d:\d\d: stays · next: foothold explain relay-1\.0\.0-1\n/,
    );
    const elsewhere = await foothold(['status', 'relay'], root);
    expect(elsewhere.stdout).toMatch(/^NEEDS YOU by [^]*note: no registry here/);

    expect((await foothold(['pause', 'relay', '--reason', 'a look'])).code).toBe(0);
    await until(async () => (await foothold(['status', 'relay'])).stdout.startsWith('PAUSED'));
    expect((await foothold(['resume', 'relay', '--reason', 'go on'])).code).toBe(0);
    const refused = await foothold(['promote', 'relay-1.0.0-9', '--reason', 'x']);
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('did you mean relay-1.0.0-1?')]);

    const watching = foothold(['watch', 'relay', '--json']);
    const promoted = await foothold(['promote', 'relay', '--reason', 'looked at it', '--json']);
    expect([promoted.code, JSON.parse(promoted.stdout)]).toMatchObject([0, { verb: 'promote', accepted: true }]);
    const watched = await watching;
    expect(watched.code).toBe(0);
    expect(JSON.parse(watched.stdout)).toMatchObject({ rollout: { outcome: 'promoted' }, sites: [{ site: 'osl-01' }] });
    expect(watched.stderr).toMatch(/\d\d:\d\d:\d\d PROMOTED · 1 of 1 sites confirmed/);
  });

  test('[A55] the site answers on its own machine, and the centre knows what it reported', async () => {
    const own = await foothold(['agent', 'status', '--config', join(root, 'agent.yaml'), '--json']);
    expect([own.code, JSON.parse(own.stdout)]).toMatchObject([
      0,
      { site: 'osl-01', streams: { relay: { state: 'confirmed', live: { version: '1.0.0' } } } },
    ]);
    expect((await foothold(['fleet', 'status'])).stdout).toMatch(/osl-01 +relay +1\.0\.0 +confirmed/);
  });

  test('a changed strategy file is imported with its difference, and aborting ends watch with 1', async () => {
    await writeFile(join(project, 'other.yaml'), STRATEGY('9s'));
    const started = await foothold(['start', 'relay@1.0.0', './other.yaml', '--json']);
    expect(started.stderr).toContain('defaults.soak: "0s" → "9s"');
    const watching = foothold(['watch', 'relay']);
    expect((await foothold(['abort', 'relay', '--reason', 'changed my mind'])).code).toBe(0);
    const watched = await watching;
    expect(watched.code).toBe(1);
    expect(watched.stdout).toMatch(/ABORTED · ABORTED \(by tester: changed my mind\)/);
  });

  test('with Temporal gone: status answers from the registry, a verb is the world’s fault', async () => {
    await foothold(['start', 'relay@1.0.0', 'by-hand']);
    await temporal.crash();
    const status = await foothold(['status', 'relay-1.0.0-3']);
    expect([status.code, status.stdout]).toEqual([0, expect.stringContaining('note: Temporal could not be asked')]);
    const verb = await foothold(['abort', 'relay', '--reason', 'x', '--json']);
    expect(verb.code).toBe(3);
    expect(JSON.parse(verb.stdout)).toMatchObject({ error: { code: 'TEMPORAL_UNREACHABLE' } });
    await temporal.restart();
    await until(async () => (await foothold(['abort', 'relay', '--reason', 'x'])).code === 0);
  });
});

async function writeProject(depot: string): Promise<void> {
  const file = join(project, 'foothold.yaml');
  const written = await readFile(file, 'utf8');
  await writeFile(file, written.replace('http://127.0.0.1:8081/', depot));
  const target = join(root, 'site');
  await mkdir(target);
  await writeFile(
    join(project, 'fleet.yaml'),
    `apiVersion: foothold/v1
kind: Fleet
linkClasses: { fibre: { settleWithin: 60s, startWithin: 10s, heartbeat: 5s } }
sites: [{ id: osl-01, risk: low, link: fibre, streams: [relay], vars: { dir: ${JSON.stringify(target)} } }]
`,
  );
  await writeFile(join(project, 'strategies/by-hand.yaml'), STRATEGY('0s'));
  const release = join(project, 'relay');
  await mkdir(join(release, 'files'), { recursive: true });
  await writeFile(join(release, 'files/set'), 'points of {{site.id}}\n');
  await writeFile(
    join(release, 'release.yaml'),
    `apiVersion: foothold/v1
kind: Release
stream: relay
version: 1.0.0
vars: { dir: string }
first: true
alreadySick: proceed
driver: { type: directory, files: ./files, templates: [set], target: "{{dir}}/live" }
checks: [{ name: there, exec: [/usr/bin/test, -e, "{{dir}}/live/set"], every: 500ms }]
confirm: { within: 30s, healthyFor: 1s }
watchFor: 0s
`,
  );
  const published = await foothold(['publish', 'relay']);
  expect([published.code, published.stderr]).toEqual([0, '']);
}

function agentFile(depot: string): string {
  return `apiVersion: foothold/v1
kind: Agent
site: osl-01
data: ${join(root, 'a')}
controlKeys: [${join(project, 'control.pub')}]
depot: ${depot}
`;
}

async function until(holds: () => Promise<boolean>, within = 60_000): Promise<void> {
  const deadline = performance.now() + within;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error('expected it to become true in time');
  }
}
