/** One lane of the bench: two nginx, one under a real agent, one under the bare loop, and a prober. */
import { execFile, fork, type ChildProcess } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nginxPaths, startNginx } from '../../infra/dev/nginx.js';
import { freePort } from '../../infra/dev/ports.js';
import { findProgram } from '../../infra/programs/find.js';
import type { Command } from '../../policies/model/command.js';
import { signCommand } from '../../policies/signing/dsse.js';
import { publishRelease } from '../../records/depot/publish.js';
import type { FromAgent, ToAgent } from './agent.js';
import type { FloorOrder } from './floor.js';
import { flip } from './floor.js';
import type { Seen } from './prober.js';

/** Beyond it a trial counts as unrestored. */
export const PATIENCE_MS = 20_000;

export interface Lane {
  /** Milliseconds from bad to restored, or undefined if it was not restored in time. */
  trialOfAgent(trial: number): Promise<number | undefined>;
  trialOfFloor(trial: number): Promise<number | undefined>;
  close(): Promise<void>;
}

interface Place {
  url: string;
  listen: string;
  prefix: string;
  live: string;
  /** While it exists, the newer configuration answers 503; the older one never looks. */
  flag: string;
  reload: string[];
  close: () => Promise<unknown>;
}

/** How the newer configuration turns bad: it answers 503, or its process is gone. */
export type Failure = 'answers' | 'exits';

export async function openLane(directory: string, site: string, failure: Failure): Promise<Lane> {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const privateKeyPem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const publicKeyPem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
  const agentPlace = await openPlace(join(directory, 'agent'), failure);
  const floorPlace = await openPlace(join(directory, 'floor'), failure);
  const prober = forkPart('prober');
  const env = { ...process.env, ...(await findProgram('nginx')).env };
  const agent = forkPart('agent', env);
  const depot = join(directory, 'depot');
  const open = { site, dataDirectory: join(directory, 'data'), depot, publicKeyPem };
  await ask<ToAgent, FromAgent>(agent, { open }, (message) => 'opened' in message);
  const loop = forkPart('floor', env);

  async function trialOfAgent(trial: number): Promise<number | undefined> {
    const version = `1.${trial}.0`;
    const release = writeRelease(join(directory, 'releases', version), version, agentPlace, failure);
    const { ref } = await publishRelease(release, depot);
    const command = commandFor({ site, trial, ref, place: agentPlace });
    await ask<ToAgent, FromAgent>(
      agent,
      { accept: signCommand(command, privateKeyPem) },
      (message) => 'state' in message && message.commandId === command.id && message.state === 'watching',
    );
    const ended = hear<FromAgent>(agent, (message) => 'ended' in message && message.commandId === command.id);
    const taken = await breakAndWatch(prober, agentPlace, { trial, failure });
    rmSync(agentPlace.flag, { force: true });
    // An agent that never undoes it is what the bench is there to show: it must not hang on it.
    return (await withinPatience(ended)) === undefined ? undefined : taken;
  }

  async function trialOfFloor(trial: number): Promise<number | undefined> {
    const [good, bad] = [join(floorPlace.prefix, 'good'), join(floorPlace.prefix, 'bad')];
    flip(floorPlace.live, bad);
    await reload(floorPlace, env);
    const { url, listen, live } = floorPlace;
    const order: FloorOrder = {
      url,
      listen,
      live,
      good,
      reload: floorPlace.reload,
      on: failure === 'exits' ? 'end' : 'poll',
    };
    const flipped = hear<string>(loop, () => true);
    loop.send(order);
    const taken = await breakAndWatch(prober, floorPlace, { trial, failure });
    await flipped;
    rmSync(floorPlace.flag, { force: true });
    return taken;
  }

  return {
    trialOfAgent,
    trialOfFloor,
    async close() {
      for (const child of [prober, agent, loop]) child.kill();
      await Promise.all([agentPlace.close(), floorPlace.close()]);
    },
  };
}

/**
 * Lets the newer configuration turn bad. Where in the check's period that falls decides most of the figure, so both
 * halves of a pair break at the same point after their loop began, and the points of a run cover the period evenly
 * (golden ratio): at random the two medians of 100 trials would differ by a tenth for that reason alone.
 */
async function breakAndWatch(
  prober: ChildProcess,
  place: Place,
  { trial, failure }: { trial: number; failure: Failure },
): Promise<number | undefined> {
  prober.send({ url: place.url });
  await new Promise((resolve) => setTimeout(resolve, 300 + ((trial * 0.618_034) % 1) * 1_000));
  const seen = hear<Seen>(prober, () => true);
  if (failure === 'exits') killNginx(place.prefix);
  else writeFileSync(place.flag, '');
  const result = await withinPatience(seen);
  return result && result.restoredMs - result.badMs;
}

function withinPatience<T>(work: Promise<T>): Promise<T | undefined> {
  const late = new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), PATIENCE_MS).unref());
  return Promise.race([work, late]);
}

async function openPlace(directory: string, failure: Failure): Promise<Place> {
  const prefix = join(directory, 'nginx');
  const listen = `127.0.0.1:${await freePort()}`;
  const place = {
    url: `http://${listen}/`,
    listen,
    prefix,
    live: join(prefix, 'live'),
    flag: join(directory, 'broken'),
  };
  writeConfiguration(join(prefix, 'good'), goodServer(listen));
  writeConfiguration(join(prefix, 'bad'), fragileServer(listen, place.flag));
  symlinkSync(join(prefix, 'good'), place.live);
  const { program, configuration } = await nginxPaths(prefix);
  const nginx = await startNginx({ prefix, live: place.live, ready: place.url });
  const reload = [program, '-p', prefix, '-c', configuration, '-s', 'reload'];
  if (failure === 'answers') return { ...place, reload, close: () => nginx.stop() };
  await nginx.stop();
  // As a service manager would: what is not running is started.
  const command = [program, '-p', prefix, '-c', configuration];
  const restart = ['/bin/sh', '-c', '"$@" -s reload 2>/dev/null || exec "$@"', 'sh', ...command];
  await reloadNow(restart, { ...process.env, ...(await findProgram('nginx')).env });
  return { ...place, reload: restart, close: async () => killNginx(prefix) };
}

/** Master and workers at once, as a crash or the memory killer would; nginx as a daemon leads its own group. */
function killNginx(prefix: string): void {
  try {
    const file = join(prefix, 'nginx.pid');
    const pid = Number(readFileSync(file, 'utf8'));
    // A dead process that nobody has collected yet takes signals: by a file left behind, a reload would seem to succeed.
    rmSync(file);
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It is gone already: what an undo did not start again.
  }
}

function goodServer(listen: string): string {
  return `server { listen ${listen}; location / { return 200 "good"; } }\n`;
}

function fragileServer(listen: string, flag: string): string {
  return `server { listen ${listen}; location / { if (-f ${flag}) { return 503; } return 200 "newer"; } }\n`;
}

function writeConfiguration(directory: string, server: string): void {
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'main.conf'), 'worker_processes 1;\n');
  writeFileSync(join(directory, 'http.conf'), server);
}

function writeRelease(directory: string, version: string, place: Place, failure: Failure): string {
  writeConfiguration(join(directory, 'files'), fragileServer(place.listen, place.flag));
  const asked = failure === 'exits' ? { tcp: place.listen, keepOpen: true } : { http: place.url, expect: 200 };
  const release = {
    apiVersion: 'foothold/v1',
    kind: 'Release',
    stream: 'edge-proxy',
    version,
    driver: { type: 'directory', files: './files', target: place.live, reload: place.reload, timeout: '10s' },
    checks: [{ name: 'well', ...asked, every: '1s', timeout: '500ms', failures: 1 }],
    confirm: { within: '10m', healthyFor: '9m' },
    watchFor: '0s',
  };
  writeFileSync(join(directory, 'release.json'), JSON.stringify(release));
  return directory;
}

function commandFor(parts: {
  site: string;
  trial: number;
  ref: { digest: string; version: string };
  place: Place;
}): Command {
  const { site, trial, ref } = parts;
  const now = Date.now();
  return {
    version: 1,
    id: `bench-${trial}/${site}/edge-proxy/converge/1`,
    rollout: `bench-${trial}`,
    site,
    stream: 'edge-proxy',
    verb: 'converge',
    generation: trial + 1,
    try: 1,
    digest: ref.digest,
    releaseVersion: ref.version,
    vars: {},
    planDigest: `sha256:${'0'.repeat(64)}`,
    issuedAt: now,
    switchBy: now + 60_000,
    allowed: false,
    ackedThrough: { epoch: 1, sequence: 0 },
  };
}

async function reload(place: Place, env: NodeJS.ProcessEnv): Promise<void> {
  await reloadNow(place.reload, env);
  await new Promise((resolve) => setTimeout(resolve, 100));
}

function reloadNow([program = '', ...args]: string[], env: NodeJS.ProcessEnv): Promise<void> {
  return new Promise((resolve) => execFile(program, args, { env }, () => resolve()));
}

function forkPart(name: 'prober' | 'agent' | 'floor', env: NodeJS.ProcessEnv = process.env): ChildProcess {
  return fork(fileURLToPath(new URL(`./${name}.js`, import.meta.url)), {
    env,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
}

function hear<T>(child: ChildProcess, wanted: (message: T) => boolean): Promise<T> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null) => reject(new Error(`a part of the bench ended with ${code}`));
    const onMessage = (message: unknown) => {
      if (!wanted(message as T)) return;
      child.off('message', onMessage);
      child.off('exit', onExit);
      resolve(message as T);
    };
    child.on('message', onMessage);
    child.once('exit', onExit);
  });
}

function ask<Q extends object, A>(child: ChildProcess, question: Q, wanted: (message: A) => boolean): Promise<A> {
  const answer = hear<A>(child, wanted);
  child.send(question);
  return answer;
}
