/**
 * `npm run faults -- --room centre|site --seeds N [--from K] [--seed K,L] [--json]`: a fault sweep; exit code 1 on a violation.
 * `--room centre --exhaustive [--kinds abort,reset-to,…] [--every N]`: each fault at each, or each N-th, place of one rollout.
 */
import { parseArgs } from 'node:util';
import { EACH_KINDS, isEachKind, isOfEach, PROMOTED_KINDS } from './each-place.js';
import type { SeedOutcome } from './scenario.js';
import type { GoodCounts } from './site-room/good-changes.js';
import type { SiteOutcome } from './site-room/scenario.js';
import { sweepSite } from './site-room/sweep.js';
import { sweep } from './sweep.js';
import { tellStory } from './story.js';

async function main(argv: string[]): Promise<number> {
  const { values } = parseArgs({
    args: argv,
    options: {
      room: { type: 'string', default: 'centre' },
      seeds: { type: 'string', default: '20' },
      from: { type: 'string', default: '1' },
      seed: { type: 'string' },
      exhaustive: { type: 'boolean', default: false },
      kinds: { type: 'string', default: PROMOTED_KINDS.join() },
      every: { type: 'string', default: '1' },
      json: { type: 'boolean', default: false },
    },
  });
  const [count, from, every] = [Number(values.seeds), Number(values.from), Number(values.every)];
  const named = values.seed?.split(',').map(Number);
  if (
    (values.room !== 'centre' && values.room !== 'site') ||
    ![count, from, every, ...(named ?? [])].every((one) => Number.isSafeInteger(one) && one > 0)
  ) {
    process.stderr.write(
      'expected --room centre or --room site, and whole numbers above 0 for --seeds, --from, --seed and --every\n',
    );
    return 2;
  }
  const each = values.kinds.split(',').filter(isEachKind);
  const isKnown = each.length === values.kinds.split(',').length && (named ?? []).every(isOfEach);
  if (values.exhaustive && (values.room !== 'centre' || !isKnown)) {
    process.stderr.write(
      `expected --room centre, --kinds of ${EACH_KINDS.join()}, and seeds that --exhaustive has named\n`,
    );
    return 2;
  }
  const seeds = named ?? Array.from({ length: count }, (_, index) => from + index);
  const tell = (line: string) => void process.stderr.write(`${line}\n`);
  const toldAtAll = (outcome: { violations: unknown[] }) => named !== undefined || outcome.violations.length > 0;
  const told = (outcome: SeedOutcome) => {
    if (toldAtAll(outcome)) tellStory(outcome, tell);
  };
  const toldOfSite = (outcome: SiteOutcome) => {
    if (toldAtAll(outcome)) tellSite(outcome, tell);
  };
  const report =
    values.room === 'site'
      ? await sweepSite({ seeds, tell, onOutcome: toldOfSite })
      : await sweep({
          tell,
          onOutcome: told,
          ...(values.exhaustive ? { seeds: named ?? [], each, every } : { seeds }),
        });
  if ('good' in report) tell(wordsOfGood(report.good));
  process.stdout.write(values.json ? `${JSON.stringify(report)}\n` : textOf(report));
  return report.violations.length > 0 ? 1 : 0;
}

function tellSite({ seed, story, violations }: SiteOutcome, tell: (line: string) => void): void {
  tell(`\nseed ${seed}`);
  for (const line of story) tell(line);
  for (const { invariant, detail } of violations) tell(`VIOLATED ${invariant}: ${detail}`);
}

function wordsOfGood({ switched, confirmed, excused }: GoodCounts): string {
  const causes = Object.entries(excused).map(([why, times]) => `${times} ${why}`);
  const others = causes.length > 0 ? `; of the others ${causes.join(', ')}` : '';
  return `${switched} switches to releases that are well were judged, ${confirmed} were confirmed${others}`;
}

type Swept = Awaited<ReturnType<typeof sweep>>;
type Report = Pick<Swept, 'seeds' | 'faultsInjected' | 'violations'> & Partial<Pick<Swept, 'places' | 'withoutEffect'>>;

function textOf({ seeds, faultsInjected, violations, places, withoutEffect }: Report): string {
  const lines = violations.map(
    ({ seed, invariant, detail, replay }) => `seed ${seed}: ${invariant}\n  ${detail}\n  ${replay}`,
  );
  const where = places === undefined ? '' : places === 'each' ? ', each place in turn' : ', places sampled';
  const vain = withoutEffect?.length ? `, ${withoutEffect.length} seeds without effect` : '';
  const head = `${seeds} seeds, ${faultsInjected} faults injected${where}${vain}, ${violations.length} violations`;
  return [head, ...lines, ''].join('\n');
}

process.exitCode = await main(process.argv.slice(2));
