/** A real Temporal server: the CLI's development server with a database file, so that it survives a kill -9. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DYNAMIC_CONFIG, SEARCH_ATTRIBUTES } from '../temporal/settings.js';
import { findProgram } from '../programs/find.js';
import { freePort } from './ports.js';
import { run } from './run.js';
import { answers, startProcess, type RunningProcess } from './process.js';

export interface TemporalOptions {
  directory: string;
  /** Default `default`, which the server creates in any case. */
  namespace?: string;
  ui?: boolean;
  searchAttributes?: Readonly<Record<string, string>>;
  dynamicConfig?: Readonly<Record<string, number | boolean | string>>;
}

export interface TemporalServer {
  /** `127.0.0.1:<port>`, the same after `restart`. */
  readonly address: string;
  readonly namespace: string;
  readonly uiUrl: string | undefined;
  readonly pid: number;
  /** kill -9. */
  crash(): Promise<void>;
  /** After `crash` or `stop`: same port, same database file. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export async function startTemporal(options: TemporalOptions): Promise<TemporalServer> {
  const program = await findProgram('temporal');
  const port = await freePort();
  const uiPort = options.ui ? await freePort() : undefined;
  const namespace = options.namespace ?? 'default';
  const address = `127.0.0.1:${port}`;
  const args = serverArguments(options, { port, uiPort, namespace });
  mkdirSync(options.directory, { recursive: true });

  const start = (): Promise<RunningProcess> =>
    startProcess({
      name: 'temporal',
      directory: options.directory,
      path: program.path,
      args,
      env: { ...process.env, ...program.env },
      within: 60_000,
      ready: async () => {
        const asked = ['operator', 'search-attribute', 'list', '--address', address, '--namespace', namespace];
        const listed = await run(program.path, asked, { env: program.env, timeout: 5_000 });
        return listed.code === 0 && (uiPort === undefined || (await answers(`http://127.0.0.1:${uiPort}/`)));
      },
    });

  let server = await start();
  return {
    address,
    namespace,
    uiUrl: uiPort === undefined ? undefined : `http://127.0.0.1:${uiPort}/namespaces/${namespace}/workflows`,
    get pid() {
      return server.pid;
    },
    crash: () => server.crash(),
    stop: () => server.stop(),
    restart: async () => {
      await server.stop();
      server = await start();
    },
  };
}

function serverArguments(
  options: TemporalOptions,
  at: { port: number; uiPort: number | undefined; namespace: string },
): string[] {
  const attributes = Object.entries(options.searchAttributes ?? SEARCH_ATTRIBUTES);
  const config = Object.entries({ ...DYNAMIC_CONFIG, ...options.dynamicConfig });
  return [
    ...['server', 'start-dev', '--log-level', 'warn', '--ip', '127.0.0.1'],
    ...['--port', String(at.port)],
    ...(at.uiPort === undefined ? ['--headless'] : ['--ui-port', String(at.uiPort)]),
    ...['--namespace', at.namespace],
    ...['--db-filename', join(options.directory, 'temporal.db')],
    ...['--sqlite-pragma', 'journal_mode=WAL', '--sqlite-pragma', 'synchronous=NORMAL'],
    ...attributes.flatMap(([name, type]) => ['--search-attribute', `${name}=${type}`]),
    ...config.flatMap(([key, value]) => ['--dynamic-config-value', `${key}=${JSON.stringify(value)}`]),
  ];
}
