/** What a command may need, opened only when it asks: project, fleet, registry, depot, Temporal. Closed once at the end. */
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { MistakeError, WorldError } from '../policies/model/failure.js';
import type { ResolvedFleet } from '../policies/model/fleet.js';
import type { Project } from '../policies/model/project.js';
import type { Registry } from '../records/registry/registry.js';
import type { Io } from './io.js';
import { paintFor, type Paint } from './render/paint.js';
import { CONNECT_WITHIN, openTemporal, type OpenTemporal, type TemporalFlags } from './temporal.js';

export interface GlobalFlags extends TemporalFlags {
  project?: string;
  fleet?: string;
  registry?: string;
  depot?: string;
  json?: boolean;
}

export class Context {
  readonly paint: Paint;
  /** True where progress may be drawn over itself. */
  readonly live: boolean;
  private readonly opened = new Map<string, Promise<unknown>>();
  private readonly closing: (() => Promise<void>)[] = [];

  constructor(
    readonly io: Io,
    readonly flags: GlobalFlags,
  ) {
    this.live = io.outTerminal && flags.json !== true;
    this.paint = paintFor(this.live, io.env);
  }

  /** A path as the caller wrote it, seen from where the caller is. */
  path(written: string): string {
    return resolve(this.io.cwd, written);
  }

  /** One line on standard error: what goes on, never the answer. */
  note(text: string): void {
    this.io.err(`${text}\n`);
  }

  /** Absolute path of the project file; throws MistakeError PROJECT_NOT_FOUND. */
  projectPath(): string {
    const path = this.projectPathIfAny();
    if (path !== undefined) return path;
    throw new MistakeError('PROJECT_NOT_FOUND', `expected ${PROJECT_FILE} in ${this.io.cwd} or above, got none`, [
      'make one with: foothold init',
      'or say where it is: --project path/to/foothold.yaml',
    ]);
  }

  projectPathIfAny(): string | undefined {
    if (this.flags.project !== undefined) {
      const path = this.path(this.flags.project);
      if (existsSync(path)) return path;
      throw new MistakeError('PROJECT_NOT_FOUND', `expected the project file ${path} of --project, there is none`);
    }
    return nearestAbove(this.io.cwd, PROJECT_FILE);
  }

  /** With all paths absolute. */
  project(): Promise<Project> {
    return this.once('project', async () => {
      const { loadProject, resolveProject } = await import('../records/files/project-file.js');
      return resolveProject(await loadProject(this.projectPath()));
    });
  }

  fleet(): Promise<ResolvedFleet> {
    return this.once('fleet', async () => {
      const { loadFleet } = await import('../records/files/fleet-file.js');
      return loadFleet(await this.fleetPath());
    });
  }

  async fleetPath(): Promise<string> {
    return this.flags.fleet === undefined ? (await this.project()).fleet : this.path(this.flags.fleet);
  }

  /** `sqlite:<absolute path>`, or a server's address as written, which may hold a password: never print it. */
  async registryUrl(): Promise<string> {
    const url = this.flags.registry ?? (await this.project()).registry;
    const path = sqlitePath(url);
    return path === undefined || this.flags.registry === undefined ? url : `sqlite:${this.path(path)}`;
  }

  /** For commands that write: makes the registry if there is none yet. */
  registry(): Promise<Registry> {
    return this.once('registry', async () => {
      const { openRegistry } = await import('../records/registry/open.js');
      const url = await this.registryUrl();
      const registry = await openRegistry(url).catch((error: unknown) => {
        if (error instanceof MistakeError || error instanceof WorldError) throw error;
        throw new WorldError('REGISTRY_UNREACHABLE', `expected a registry, it could not be opened`, { cause: error });
      });
      this.closing.push(() => registry.close());
      return registry;
    });
  }

  /** For readers: undefined where there is no project, or no file yet. Never makes one; a server is always asked. */
  async registryIfHere(): Promise<Registry | undefined> {
    if (this.flags.registry === undefined && this.projectPathIfAny() === undefined) return undefined;
    const path = sqlitePath(await this.registryUrl());
    return path === undefined || existsSync(path) ? this.registry() : undefined;
  }

  /** Where releases are read: a directory or an HTTP address. */
  async depotToRead(): Promise<string> {
    if (this.flags.depot !== undefined) return this.depotFlag(this.flags.depot);
    const { depot } = await this.project();
    // The directory, where it is here, needs no server.
    return existsSync(depot.write) ? depot.write : depot.read;
  }

  /** The directory that `publish` writes. */
  async depotToWrite(): Promise<string> {
    const where =
      this.flags.depot === undefined ? (await this.project()).depot.write : this.depotFlag(this.flags.depot);
    if (!isUrl(where)) return where;
    throw new MistakeError(
      'NOT_AVAILABLE',
      `expected a depot directory to publish into, got ${where}: others are not available yet`,
    );
  }

  private depotFlag(where: string): string {
    return isUrl(where) ? where : this.path(where);
  }

  /** What was said about Temporal on the command line, to be handed on. */
  temporalFlags(): TemporalFlags {
    const { address, namespace, profile } = this.flags;
    return {
      ...(address === undefined ? {} : { address }),
      ...(namespace === undefined ? {} : { namespace }),
      ...(profile === undefined ? {} : { profile }),
    };
  }

  /** Throws WorldError TEMPORAL_UNREACHABLE. A failed connection is tried again by the next call. */
  temporal(within = CONNECT_WITHIN): Promise<OpenTemporal> {
    return this.once('temporal', async () => {
      const open = await openTemporal(this.flags, this.io.env, within);
      this.closing.push(() => open.connection.close());
      return open;
    });
  }

  async close(): Promise<void> {
    for (const close of this.closing.reverse()) await close().catch(() => undefined);
  }

  private async once<T>(name: string, open: () => Promise<T>): Promise<T> {
    const running = (this.opened.get(name) as Promise<T> | undefined) ?? open();
    this.opened.set(name, running);
    try {
      return await running;
    } catch (error) {
      this.opened.delete(name);
      throw error;
    }
  }
}

export const PROJECT_FILE = 'foothold.yaml';

function nearestAbove(from: string, name: string): string | undefined {
  for (let directory = resolve(from); ; directory = dirname(directory)) {
    const path = join(directory, name);
    if (existsSync(path)) return path;
    if (directory === dirname(directory)) return undefined;
  }
}

function sqlitePath(url: string): string | undefined {
  return url.startsWith('sqlite:') ? url.slice('sqlite:'.length) : undefined;
}

function isUrl(where: string): boolean {
  return /^[a-z0-9+.-]+:\/\//i.test(where);
}
