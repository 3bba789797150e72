/** A real PostgreSQL server of its own: TCP on 127.0.0.1 only, a password, nothing outside its directory. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chownSync, cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';
import { WorldError } from '../../policies/model/failure.js';
import { findProgram, type Program } from '../programs/find.js';
import { freePort } from './ports.js';
import { startProcess, type RunningProcess } from './process.js';

const USER = 'foothold';
/** The server refuses to run as root; this is who has no rights anywhere. */
const NOBODY = { uid: 65534, gid: 65534 };
/** What a killed server leaves behind for a moment: its children, with their hold on the shared memory. */
const STARTS_AFTER_CRASH = 50;

export interface PostgresOptions {
  /** For its log, and its data too, unless this process is root: then they are below the system's directory for such. */
  directory: string;
  /** Default true. False is quicker, and a power cut would lose what was committed. */
  durable?: boolean;
}

export interface PostgresServer {
  /** With user, password and the database `postgres`; the same after `restart`. */
  readonly url: string;
  readonly pid: number;
  /** kill -9. */
  crash(): Promise<void>;
  /** As an administrator would: its clients are thrown out, its data stay. */
  stop(): Promise<void>;
  /** After `stop` and `crash` too: same port, same data. */
  restart(): Promise<void>;
  /** Ends it and deletes its data. */
  close(): Promise<void>;
}

export async function startPostgres(options: PostgresOptions): Promise<PostgresServer> {
  const { directory } = options;
  mkdirSync(directory, { recursive: true });
  const home = await makeHome(directory);
  try {
    const password = randomBytes(12).toString('hex');
    await initialize(home, password, options.durable ?? true);
    const port = await freePort();
    const url = `postgres://${USER}:${password}@127.0.0.1:${port}/postgres`;
    const start = (): Promise<RunningProcess> => startServer(home, { ...options, port, url });
    let server = await start();
    return {
      url,
      get pid() {
        return server.pid;
      },
      crash: () => server.crash(),
      stop: () => server.stop(),
      restart: async () => {
        await server.stop();
        server = await patiently(start);
      },
      close: async () => {
        await server.stop();
        home.remove();
      },
    };
  } catch (error) {
    home.remove();
    throw error;
  }
}

interface Home {
  program: Program;
  data: string;
  /** For files that the server's user reads. */
  root: string;
  user: { uid: number; gid: number } | undefined;
  remove(): void;
}

async function makeHome(directory: string): Promise<Home> {
  const found = await findProgram('postgres');
  const isRoot = process.getuid?.() === 0;
  // Whoever the server runs as has to reach its data from the top, which the directories of root do not allow.
  const root = isRoot ? mkdtempSync(join(tmpdir(), 'fh-postgres-')) : join(directory, 'postgres');
  mkdirSync(root, { recursive: true });
  const remove = (): void => rmSync(root, { recursive: true, force: true, maxRetries: 5 });
  if (!isRoot) return { program: found, root, data: join(root, 'data'), user: undefined, remove };
  try {
    const program = mayReach(realpathSync(found.path)) ? found : copyProgram(found, join(root, 'program'));
    chownSync(root, NOBODY.uid, NOBODY.gid);
    return { program, root, data: join(root, 'data'), user: NOBODY, remove };
  } catch (error) {
    remove();
    throw error;
  }
}

/** True if everybody may pass through all directories above. */
function mayReach(path: string): boolean {
  for (let at = resolve(path); at !== dirname(at); at = dirname(at)) {
    if ((statSync(at).mode & 0o001) === 0) return false;
  }
  return true;
}

/** The unpacked packages: the server finds its other files by its own place. */
function copyProgram(program: Program, to: string): Program {
  const path = realpathSync(program.path);
  const top = path.lastIndexOf('/usr/lib/postgresql/');
  const libraries = (program.env['LD_LIBRARY_PATH'] ?? '').split(':').filter((folder) => folder !== '');
  if (top < 0) {
    const message = `expected PostgreSQL where a user without rights may start it, got ${path}: name another in FOOTHOLD_POSTGRES`;
    throw new WorldError('PROGRAM_MISSING', message);
  }
  for (const part of ['usr/lib/postgresql', 'usr/share/postgresql'])
    cpSync(join(path.slice(0, top), part), join(to, part), {
      recursive: true,
      filter: (source) => !source.endsWith('/bitcode'),
    });
  const copied = libraries.map((folder, index) => {
    const target = join(to, `libraries-${index}`);
    cpSync(folder, target, { recursive: true, verbatimSymlinks: true });
    return target;
  });
  const env = copied.length === 0 ? {} : { LD_LIBRARY_PATH: copied.join(':') };
  return { path: join(to, path.slice(top)), env };
}

async function initialize(home: Home, password: string, durable: boolean): Promise<void> {
  const secret = join(home.root, 'password');
  writeFileSync(secret, password, { mode: 0o600 });
  if (home.user) chownSync(secret, home.user.uid, home.user.gid);
  const initdb = join(dirname(realpathSync(home.program.path)), 'initdb');
  const args = ['-D', home.data, '-U', USER, `--pwfile=${secret}`, '--auth=scram-sha-256', '--encoding=UTF8'];
  const options = { env: environment(home.program), cwd: home.root, ...home.user };
  try {
    await promisify(execFile)(initdb, [...args, '--no-locale', ...(durable ? [] : ['--no-sync'])], options);
  } catch (error) {
    throw new WorldError('PROGRAM_NOT_READY', `expected initdb to make a database, it said: ${String(error)}`);
  }
  rmSync(secret);
}

async function startServer(
  home: Home,
  at: { directory: string; port: number; url: string; durable?: boolean },
): Promise<RunningProcess> {
  const settings = {
    listen_addresses: '127.0.0.1',
    port: at.port,
    unix_socket_directories: '',
    fsync: at.durable === false ? 'off' : 'on',
    max_connections: 60,
    shared_buffers: '32MB',
  };
  return startProcess({
    name: 'postgres',
    directory: at.directory,
    path: home.program.path,
    args: ['-D', home.data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    env: environment(home.program),
    cwd: home.root,
    ...(home.user ? { user: home.user } : {}),
    // Fast: it does not wait for its clients to leave.
    stopSignal: 'SIGINT',
    stopWithin: 10_000,
    within: 30_000,
    ready: () => letsIn(at.url),
  });
}

/** Of this process's environment without what would point it elsewhere. */
function environment(program: Program): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('PG'));
  return { ...Object.fromEntries(own), ...program.env };
}

async function letsIn(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 1_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return true;
  } finally {
    await client.end();
  }
}

async function patiently(start: () => Promise<RunningProcess>): Promise<RunningProcess> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await start();
    } catch (error) {
      if (attempt >= STARTS_AFTER_CRASH) throw error;
      await sleep(100);
    }
  }
}
