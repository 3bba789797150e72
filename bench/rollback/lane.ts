/** One lane of the bench: two nginx, one under a real agent, one under the bare loop, and a prober. */
import { fork, type ChildProcess } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nginxPaths, startNginx, type Nginx } from '../../infra/dev/nginx.js';
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
  nginx: Nginx;
}

export async function openLane(directory: string, site: string): Promise<Lane> {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const privateKeyPem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const publicKeyPem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
  const agentPlace = await openPlace(join(directory, 'agent'));
  const floorPlace = await openPlace(join(directory, 'floor'));
  const prober = forkPart('prober');
  const env = { ...process.env, ...(await findProgram('nginx')).env };
  const agent = forkPart('agent', env);
  const depot = join(directory, 'depot');
  const open = { site, dataDirectory: join(directory, 'data'), depot, publicKeyPem };
  await ask<ToAgent, FromAgent>(agent, { open }, (message) => 'opened' in message);
  const loop = forkPart('floor', env);

  async function trialOfAgent(trial: number): Promise<number | undefined> {
    const version = `1.${trial}.0`;
    const release = writeRelease(join(directory, 'releases', version), version, agentPlace);
    const { ref } = await publishRelease(release, depot);
    const command = commandFor({ site, trial, ref, place: agentPlace });
    await ask<ToAgent, FromAgent>(
      agent,
      { accept: signCommand(command, privateKeyPem) },
      (message) => 'state' in message && message.commandId === command.id && message.state === 'watching',
    );
    const ended = hear<FromAgent>(agent, (message) => 'ended' in message && message.commandId === command.id);
    const taken = await breakAndWatch(prober, agentPlace, trial);
    rmSync(agentPlace.flag, { force: true });
    // An agent that never undoes it is what the bench is there to show: it must not hang on it.
    return (await withinPatience(ended)) === undefined ? undefined : taken;
  }

  async function trialOfFloor(trial: number): Promise<number | undefined> {
    const [good, bad] = [join(floorPlace.prefix, 'good'), join(floorPlace.prefix, 'bad')];
    flip(floorPlace.live, bad);
    await reload(floorPlace, env);
    const order: FloorOrder = { url: floorPlace.url, live: floorPlace.live, good, reload: floorPlace.reload };
    const flipped = hear<string>(loop, () => true);
    loop.send(order);
    const taken = await breakAndWatch(prober, floorPlace, trial);
    await flipped;
    rmSync(floorPlace.flag, { force: true });
    return taken;
  }

  return {
    trialOfAgent,
    trialOfFloor,
    async close() {
      for (const child of [prober, agent, loop]) child.kill();
      await Promise.all([agentPlace.nginx.stop(), floorPlace.nginx.stop()]);
    },
  };
}

/**
 * Lets the newer configuration turn bad. Where in the check's period that falls decides most of the figure, so both
 * halves of a pair break at the same point after their loop began, and the points of a run cover the period evenly
 * (golden ratio): at random the two medians of 100 trials would differ by a tenth for that reason alone.
 */
async function breakAndWatch(prober: ChildProcess, place: Place, trial: number): Promise<number | undefined> {
  prober.send({ url: place.url });
  await new Promise((resolve) => setTimeout(resolve, 300 + ((trial * 0.618_034) % 1) * 1_000));
  const seen = hear<Seen>(prober, () => true);
  writeFileSync(place.flag, '');
  const result = await withinPatience(seen);
  return result && result.restoredMs - result.badMs;
}

function withinPatience<T>(work: Promise<T>): Promise<T | undefined> {
  const late = new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), PATIENCE_MS).unref());
  return Promise.race([work, late]);
}

async function openPlace(directory: string): Promise<Place> {
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
  return { ...place, nginx, reload: [program, '-p', prefix, '-c', configuration, '-s', 'reload'] };
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

function writeRelease(directory: string, version: string, place: Place): string {
  writeConfiguration(join(directory, 'files'), fragileServer(place.listen, place.flag));
  const release = {
    apiVersion: 'foothold/v1',
    kind: 'Release',
    stream: 'edge-proxy',
    version,
    driver: { type: 'directory', files: './files', target: place.live, reload: place.reload, timeout: '10s' },
    checks: [{ name: 'answers', http: place.url, expect: 200, every: '1s', timeout: '500ms', failures: 1 }],
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
  const { execFile } = await import('node:child_process');
  const [program = '', ...args] = place.reload;
  await new Promise<void>((resolve) => execFile(program, args, { env }, () => resolve()));
  await new Promise((resolve) => setTimeout(resolve, 100));
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
