/** `npm run bench -- NAME [--json] …`: figures, each against its floor in the same run. */
import { parseArgs } from 'node:util';
import type { BenchOptions } from './options.js';

interface Bench {
  describe: string;
  run: (options: BenchOptions) => Promise<Record<string, unknown>>;
}
const BENCHES: Record<string, () => Promise<Bench>> = {
  cli: () => import('./cli/bench.js'),
  idle: () => import('./idle/bench.js'),
  rejoin: () => import('./rejoin/bench.js'),
  rollback: () => import('./rollback/bench.js'),
  sweep: () => import('./sweep/bench.js'),
};

async function main(argv: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      trials: { type: 'string' },
      sites: { type: 'string' },
      pairs: { type: 'string' },
      minutes: { type: 'string' },
    },
  });
  const name = positionals[0] ?? '';
  const load = BENCHES[name];
  if (!load) {
    process.stderr.write(`expected one of: ${Object.keys(BENCHES).join(', ')}; got "${name}"\n`);
    return 2;
  }
  const bench = await load();
  const tell = (line: string) => void process.stderr.write(`${line}\n`);
  tell(bench.describe);
  const figures = await bench.run({
    ...(values.trials === undefined ? {} : { trials: Number(values.trials) }),
    ...(values.sites === undefined ? {} : { sites: Number(values.sites) }),
    ...(values.pairs === undefined ? {} : { pairs: Number(values.pairs) }),
    ...(values.minutes === undefined ? {} : { minutes: Number(values.minutes) }),
    tell,
  });
  process.stdout.write(values.json ? `${JSON.stringify(figures)}\n` : tableOf(figures));
  return 0;
}

function tableOf(figures: Record<string, unknown>): string {
  return Object.entries(figures)
    .map(([name, value]) => `${name.padEnd(24)} ${typeof value === 'string' ? value : JSON.stringify(value)}\n`)
    .join('');
}

process.exitCode = await main(process.argv.slice(2));
