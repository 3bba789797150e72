/** Runs the agent as a process of its own, from the sources as they are, so that it can be killed for real. */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import ts from 'typescript';

const ROOT = join(import.meta.dirname, '../..');

/** Transpiles site/ and policies/ (no type-check) below dist/, where packages resolve; returns the directory. */
export function buildRooms(): string {
  mkdirSync(join(ROOT, 'dist'), { recursive: true });
  const out = mkdtempSync(join(ROOT, 'dist', 'site-process-'));
  for (const room of ['site', 'policies']) {
    for (const entry of readdirSync(join(ROOT, room), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !entry.name.endsWith('.ts')) continue;
      const source = join(entry.parentPath, entry.name);
      const target = join(out, relative(ROOT, source).replace(/\.ts$/, '.js'));
      const compilerOptions = {
        module: ts.ModuleKind.ESNext,
        target: ts.ScriptTarget.ES2022,
        verbatimModuleSyntax: true,
      };
      mkdirSync(dirname(target), { recursive: true });
      writeFileSync(target, ts.transpileModule(readFileSync(source, 'utf8'), { compilerOptions }).outputText);
    }
  }
  writeFileSync(join(out, 'run.js'), RUN);
  return out;
}

export function dropRooms(out: string): void {
  rmSync(out, { recursive: true, force: true });
}

/** The names of every step, as site/context.ts has them: none is left out of a test that kills at each. */
export function stepsOfSite(): string[] {
  const source = readFileSync(join(ROOT, 'site/context.ts'), 'utf8');
  const named = /export type Step =([^;]+);/.exec(source)?.[1] ?? '';
  return [...named.matchAll(/'([^']+)'/g)].map(([, step]) => step ?? '');
}

export interface RunOptions {
  site: string;
  dataDirectory: string;
  controlKeysPem: string[];
  depot: string;
  /** Accepted after the start. */
  envelope?: unknown;
  commandId?: string;
  /** The process kills itself with SIGKILL at the `nth` time it comes to this step. */
  killAt?: { step: string; nth: number };
  /** The power fails there first: this file system is shut down under the process, and what it has journaled is told here. */
  cut?: { mount: string; xfsIo: string; told: string };
  /** Of the machine: after a power cut it is another. */
  bootId?: string;
}

/** How the process ended, and what it printed: the settled command, or the report once it had nothing to do. */
export async function runAgent(
  out: string,
  options: RunOptions,
  env: NodeJS.ProcessEnv = {},
): Promise<{ signal: string | null; printed: string }> {
  const child = spawn(process.execPath, [join(out, 'run.js'), JSON.stringify(options)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  });
  let printed = '';
  let errors = '';
  child.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString('utf8')));
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString('utf8')));
  const limit = setTimeout(() => child.kill('SIGKILL'), 30_000);
  return new Promise((resolve, reject) => {
    child.on('close', (code, signal) => {
      clearTimeout(limit);
      if (code !== null && code !== 0) reject(new Error(`the agent's process ended with ${code}: ${errors}`));
      else resolve({ signal, printed });
    });
  });
}

const RUN = `
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { openAgent } from './site/open-agent.js';
const options = JSON.parse(process.argv[2]);
const nothing = () => undefined;
let times = 0;
const clock = { now: Date.now, elapsed: () => performance.now(), bootId: () => options.bootId };
const agent = await openAgent({
  ...options,
  log: { debug: nothing, info: nothing, warn: nothing, error: nothing },
  onStep: (step) => {
    if (step !== options.killAt?.step || ++times !== options.killAt.nth) return;
    if (options.cut) {
      writeFileSync(options.cut.told, JSON.stringify(agent.history(1000)));
      execFileSync(options.cut.xfsIo, ['-x', '-c', 'shutdown', options.cut.mount]);
    }
    process.kill(process.pid, 'SIGKILL');
  },
  ...(options.bootId ? { clock } : {}),
});
await agent.start();
const atStart = Object.values((await agent.report()).streams).map((stream) => stream.state);
if (options.envelope) await agent.door.accept(options.envelope);
const settled = options.commandId
  ? await agent.door.observe(options.commandId, AbortSignal.timeout(20000), nothing)
  : undefined;
const report = await agent.report();
process.stdout.write(JSON.stringify({ settled, atStart, report, events: agent.history(1000) }));
await agent.stop();
process.exit(0);
`;
