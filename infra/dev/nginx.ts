/** One site's own nginx. Its main file is fixed; what it serves is whatever directory is live at `live`. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram } from '../programs/find.js';
import { answers, startProcess } from './process.js';

export interface NginxOptions {
  /** nginx's prefix: main file, pid file, error log and temporary files. */
  prefix: string;
  /** The rolled-out directory: `main.conf` is included at the top, `http.conf` in the http block. */
  live: string;
  /** Asked until it answers 200. */
  ready?: string;
}

export interface Nginx {
  readonly pid: number;
  stop(): Promise<void>;
}

/** Paths that a release's reload command needs: `<program> -p <prefix> -c <configuration> -s reload`. */
export interface NginxPaths {
  program: string;
  configuration: string;
}

export async function nginxPaths(prefix: string): Promise<NginxPaths> {
  const program = await findProgram('nginx');
  return { program: program.path, configuration: configurationOf(prefix) };
}

export async function startNginx(options: NginxOptions): Promise<Nginx> {
  const { prefix, live, ready } = options;
  const program = await findProgram('nginx');
  mkdirSync(join(prefix, 'temporary'), { recursive: true });
  writeFileSync(configurationOf(prefix), mainFile(prefix, live));
  const server = await startProcess({
    name: 'nginx',
    directory: prefix,
    path: program.path,
    env: { ...process.env, ...program.env },
    args: ['-p', prefix, '-c', configurationOf(prefix), '-g', 'daemon off;'],
    within: 15_000,
    ready: async () => existsSync(join(prefix, 'nginx.pid')) && (ready === undefined || (await answers(ready))),
  });
  return { pid: server.pid, stop: () => server.stop() };
}

function configurationOf(prefix: string): string {
  return join(prefix, 'nginx.conf');
}

/**
 * No `reuseport` in a release: with it every worker has a listening socket of its own, and a reload that lowers
 * `worker_processes` closes one, with the connections that wait on it. The one shared socket stays open across a
 * reload, and old workers finish what they have accepted.
 */
function mainFile(prefix: string, live: string): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  // Started by root, nginx would hand its workers to a user who cannot read the data directory.
  const user = process.getuid?.() === 0 ? 'user root;\n' : '';
  return `${user}pid ${prefix}/nginx.pid;
error_log ${prefix}/error.log warn;
include ${live}/main.conf;
events { worker_connections 256; }
http {
  access_log off;
  server_tokens off;
${temporary.map((name) => `  ${name}_temp_path ${prefix}/temporary/${name};`).join('\n')}
  include ${live}/http.conf;
}
`;
}
