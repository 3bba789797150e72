/** A site for tests: a depot directory, a control key, and an agent over a fresh data directory. */
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Command, Envelope, Result, Settled, SiteState } from '../../policies/model/command.js';
import { blobPath, manifestPath, releasePath } from '../../policies/model/depot.js';
import type { Prefetch } from '../../policies/model/prefetch.js';
import { signCommand } from '../../policies/signing/dsse.js';
import { canonicalJson, sha256Hex } from '../../policies/signing/jcs.js';
import type { Agent } from '../../site/agent.js';
import { openAgent } from '../../site/open-agent.js';
import type { AgentOptions } from '../../site/options.js';
import type { Log, SiteContext } from '../../site/context.js';

export const quiet: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing };
function nothing(): void {}

export interface TestFile {
  text: string;
  mode?: number;
}
export interface Published {
  stream: string;
  version: string;
  digest: string;
}

export class TestSite {
  readonly root: string;
  readonly data: string;
  readonly depot: string;
  readonly site = 'osl-01';
  private readonly keys = generateKeyPairSync('ed25519');
  readonly publicPem = this.keys.publicKey.export({ type: 'spki', format: 'pem' }).toString();
  readonly privatePem = this.keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  private agents: Agent[] = [];
  /** By digest, the first run id of the rollout that was last made to bring it: a revert is of that one. */
  private readonly runs = new Map<string, string>();

  /** `below`: a directory of a file system of its own, for tests of the disk. */
  constructor(below = tmpdir()) {
    this.root = mkdtempSync(join(below, 'site-'));
    this.data = join(this.root, 'data');
    this.depot = join(this.root, 'depot');
  }

  path(...parts: string[]): string {
    return join(this.root, ...parts);
  }

  write(path: string, text: string, mode = 0o644): string {
    const full = this.path(path);
    mkdirSync(dirname(full), { recursive: true });
    writeFileSync(full, text, { mode });
    return full;
  }

  options(change: Partial<AgentOptions> = {}): AgentOptions {
    return {
      site: this.site,
      dataDirectory: this.data,
      controlKeysPem: [this.publicPem],
      depot: this.depot,
      log: quiet,
      ...change,
    };
  }

  async open(change: Partial<AgentOptions> = {}): Promise<Agent> {
    const agent = await openAgent(this.options(change));
    this.agents.push(agent);
    return agent;
  }

  async start(options: Partial<AgentOptions> = {}): Promise<Agent> {
    const agent = await this.open(options);
    await agent.start();
    return agent;
  }

  async clear(): Promise<void> {
    for (const agent of this.agents) await agent.stop();
    this.agents = [];
    rmSync(this.root, { recursive: true, force: true });
  }

  publish(release: Record<string, unknown>, files: Record<string, TestFile | string> = {}): Published {
    const filled = { apiVersion: 'foothold/v1', kind: 'Release', version: '1.0.0', ...release };
    const listed = Object.entries(files).map(([path, file]) => {
      const { text, mode = 0o644 } = typeof file === 'string' ? { text: file } : file;
      const digest = `sha256:${sha256Hex(text)}`;
      this.put(blobPath(digest), text);
      return { path, digest, size: Buffer.byteLength(text), mode };
    });
    const manifest = canonicalJson({ format: 'foothold.release/v1', release: filled, files: listed });
    const digest = `sha256:${sha256Hex(manifest)}`;
    this.put(manifestPath(digest), manifest);
    const published = { stream: String(filled['stream' as keyof typeof filled]), version: filled.version, digest };
    this.put(releasePath(published.stream, published.version), JSON.stringify(published));
    return published;
  }

  put(path: string, text: string): void {
    const full = join(this.depot, path);
    mkdirSync(dirname(full), { recursive: true });
    writeFileSync(full, text);
  }

  command(of: Published, change: Partial<Command> = {}): Command {
    const verb = change.verb ?? 'converge';
    const generation = change.generation ?? 1;
    const tries = change.try ?? 1;
    const now = Date.now();
    if (verb === 'converge') this.runs.set(of.digest, `run-${generation}`);
    const run = this.runs.get(of.digest) ?? `run-${generation}`;
    return {
      version: 1,
      id: `${run}/${this.site}/${of.stream}/${verb}/${tries}`,
      rollout: `${of.stream}-${of.version}-1`,
      site: this.site,
      stream: of.stream,
      verb,
      generation,
      try: tries,
      digest: of.digest,
      releaseVersion: of.version,
      vars: {},
      planDigest: `sha256:${'0'.repeat(64)}`,
      issuedAt: now,
      ...(verb === 'converge' ? { switchBy: now + 20_000 } : {}),
      allowed: false,
      ackedThrough: { epoch: 1, sequence: 0 },
      ...change,
    };
  }

  /** A wish for the files of a release. */
  wish(of: Published, change: Partial<Prefetch> = {}): Prefetch {
    return {
      version: 1,
      rollout: `${of.stream}-${of.version}-1`,
      site: this.site,
      stream: of.stream,
      generation: 1,
      digest: of.digest,
      releaseVersion: of.version,
      issuedAt: Date.now(),
      ackedThrough: { epoch: 1, sequence: 0 },
      ...change,
    };
  }

  sign(command: Command, privatePem = this.privatePem): Envelope {
    return signCommand(command, privatePem);
  }
}

/** Accepts and observes to the end, as a link does. */
export async function carryOut(
  agent: Agent,
  site: TestSite,
  command: Command,
  onState: (state: SiteState) => void = nothing,
): Promise<Result> {
  await agent.door.accept(site.sign(command));
  return resultOf(await agent.door.observe(command.id, AbortSignal.timeout(15_000), onState));
}

export function resultOf(settled: Settled): Result {
  if (settled.kind === 'result') return settled.result;
  throw new Error(`expected a result, the command is ${settled.state}`);
}

/** A release of one directory component with a check that reads a file: `sh -c` is the test's own program, not the agent's. */
export function directoryRelease(site: TestSite, version: string, change: Record<string, unknown> = {}) {
  return {
    stream: 'edge-proxy',
    version,
    driver: { type: 'directory', files: './files', target: site.path('live', 'conf') },
    checks: [
      { name: 'ok', exec: ['grep', '-q', 'healthy', site.path('live', 'conf', 'page')], every: '50ms', failures: 2 },
    ],
    confirm: { within: '5s', healthyFor: '100ms' },
    ...change,
  };
}

/** A release of one exec component: a legacy controller that keeps its state in the file `state` of the site. */
export function controllerRelease(site: TestSite, n: number): Published {
  const live = site.path('state');
  const text = `#!/bin/sh
case "$1" in
save) cp ${live} "$FOOTHOLD_SAVED";;
load) cp state ${live};;
check) cmp -s state ${live};;
restore) cp "$FOOTHOLD_SAVED" ${live};;
esac
`;
  const [apply, verify, revert, save] = ['load', 'check', 'restore', 'save'].map((verb) => ['./ctl', verb]);
  return site.publish(
    {
      stream: 'relay',
      version: `${n}.0.0`,
      driver: { type: 'exec', files: './files', apply, verify, revert, save, timeout: '5s' },
      checks: [{ name: 'ok', exec: ['grep', '-q', 'healthy', live], every: '50ms', failures: 2 }],
      confirm: { within: '5s', healthyFor: '100ms' },
    },
    { 'files/ctl': { text, mode: 0o755 }, 'files/state': `healthy ${n}` },
  );
}

export async function until<T>(probe: () => T | undefined | false, withinMs = 10_000): Promise<T> {
  for (const end = Date.now() + withinMs; Date.now() < end;) {
    const found = probe();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`nothing came within ${withinMs} ms`);
}

/** What no door shows. */
export const inside = (agent: Agent): SiteContext => (agent as unknown as { context: SiteContext }).context;

/** As the kernel says it of a device that failed. */
export const eio = () => Object.assign(new Error('EIO: i/o error, fsync'), { code: 'EIO', syscall: 'fsync' });
