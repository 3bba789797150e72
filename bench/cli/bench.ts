/**
 * What a person waits for at three in the morning: readers as whole commands, each a new process, over a registry of ten
 * thousand sites, Temporal down. Each is paired with its floor: a process that starts Node, opens the same database
 * and makes one query by an index. The target is at most twice that.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BenchOptions } from '../options.js';
import { cliFigures, type Round } from './figures.js';
import { fillProject, type Filled } from './fill.js';

export const describe =
  'cli: readers of the registry as whole commands, each against a process that opens it and makes one indexed query';

/** This file runs as `dist/bench/cli/bench.js`. */
const FOOTHOLD = fileURLToPath(new URL('../../bin/foothold.cjs', import.meta.url));
const FLOOR = fileURLToPath(new URL('./floor.js', import.meta.url));
const ROLLOUTS = 200;
const EVIDENCE = 100;

export async function run(options: BenchOptions): Promise<Record<string, unknown>> {
  const { sites = 10_000, pairs = 15, tell } = options;
  const directory = await mkdtemp(join(tmpdir(), 'foothold-cli-'));
  try {
    const began = performance.now();
    const filled = await fillProject(directory, { sites, rollouts: ROLLOUTS, evidence: EVIDENCE }, Date.now());
    tell(`registry filled in ${((performance.now() - began) / 1_000).toFixed(1)} s`);
    // Unmeasured: files come into the cache.
    await oneRound(filled);
    const rounds: Round[] = [];
    for (let i = 0; i < pairs; i += 1) {
      rounds.push(await oneRound(filled));
      if ((i + 1) % 5 === 0) tell(`${i + 1} of ${pairs} rounds`);
    }
    const { rollouts, debts, evidence } = filled;
    return { registry: { sites, rollouts, debts, evidence }, ...cliFigures(rounds) };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** What is asked, and a word that the answer must hold: what fails quickly is no figure. */
function commandsFor({ label, over, site }: Filled): [words: string[], holds: string][] {
  return [
    [['status'], label],
    [['status', label], label],
    [['explain', label], 'GATE_NO_DATA'],
    [['explain', label, site], site],
    [['history', site], site],
    [['history', label], 'entry 99 of a rollout'],
    // Of one that ended: `watch` of any other goes on.
    [['watch', over], 'PROMOTED'],
    [['owed'], 'firewall-policy'],
    [['fleet', 'status'], 'firewall-policy'],
  ];
}

async function oneRound(filled: Filled): Promise<Round> {
  const node = await timed(filled, ['-e', '0']);
  const commands: Round['commands'] = {};
  for (const [words, holds] of commandsFor(filled)) {
    const floor = await timed(filled, [FLOOR, filled.registry, filled.label]);
    const took = await timed(filled, [FOOTHOLD, ...words], holds);
    commands[words.map((word) => NAMES(filled)[word] ?? word).join(' ')] = { took, floor };
  }
  return { node, commands };
}

const NAMES = ({ label, over, site }: Filled): Record<string, string> => ({
  ...{ [label]: 'ROLLOUT', [over]: 'ROLLOUT-THAT-ENDED', [site]: 'SITE' },
});

/** Milliseconds from before the process is started until it has ended. */
async function timed({ directory }: Filled, args: string[], holds = ''): Promise<number> {
  const env = { ...process.env, TEMPORAL_ADDRESS: '127.0.0.1:1', TEMPORAL_CONFIG_FILE: join(directory, 'none.toml') };
  const began = performance.now();
  const child = spawn(process.execPath, args, { cwd: directory, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  child.stdout.on('data', (part: Buffer) => (said += part.toString()));
  child.stderr.on('data', (part: Buffer) => (said += part.toString()));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  const took = performance.now() - began;
  if (code === 0 && said.includes(holds)) return took;
  throw new Error(
    `expected ${args.slice(1).join(' ')} to answer with ${holds}, got exit code ${code}: ${said.slice(0, 2_000)}`,
  );
}
