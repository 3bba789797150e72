/** `history`: what happened, newest first: to a site, a stream, a rollout, or by someone. From the registry alone. */
import type { Command } from 'commander';
import { matches } from '../../policies/cohort/selector.js';
import { MistakeError } from '../../policies/model/failure.js';
import { parseDuration } from '../../policies/model/duration.js';
import type { Selector } from '../../policies/model/strategy.js';
import type { HistoryEntry, HistoryFilter, Registry } from '../../records/registry/registry.js';
import { done, type Answer } from '../answer.js';
import type { Context } from '../context.js';
import type { Execute } from '../execute.js';
import { meantFleet } from '../inputs.js';
import { suggestions } from '../nearest.js';
import { historyLine } from '../render/history.js';
import { limitOf, readable } from './owed.js';

export interface HistoryFlags {
  who?: string;
  from?: string;
  limit?: string;
}

export function declareHistory(program: Command, execute: Execute): void {
  program
    .command('history')
    .description('what happened, newest first: to a site, a stream or a rollout, or by someone')
    .argument('[what]', 'a site, a stream, or the id of a rollout (default: everything)')
    .option('--who <name>', 'only what this person did')
    .option('--from <time>', 'nothing older: 2026-11-22, a time with its zone, or an age such as 24h')
    .option('--limit <n>', 'at most so many (default: 50)')
    .action((what: string | undefined, flags: HistoryFlags, self: Command) =>
      execute(self, (context) => history(context, what, flags)),
    );
}

const SHOWN = 50;

/** `{ of, entries, more }`: entries as the registry keeps them; `more` if the limit cut them off. */
export async function history(context: Context, what: string | undefined, flags: HistoryFlags): Promise<Answer> {
  const registry = await readable(context);
  const limit = limitOf(flags.limit, SHOWN) ?? SHOWN;
  const of = what === undefined ? {} : await meantBy(context, registry, what);
  const filter: HistoryFilter = {
    ...of.filter,
    ...(flags.who === undefined ? {} : { who: flags.who }),
    ...(flags.from === undefined ? {} : { from: fromOf(flags.from, context.io.now()) }),
    limit: limit + 1,
  };
  const found = await registry.history(filter);
  const entries = found.slice(0, limit);
  const document = { of: of.named ?? null, entries, more: found.length > limit };
  return done(document, historyText(context, entries, found.length > limit));
}

type Meant = { filter?: Partial<HistoryFilter>; named?: { kind: 'rollout' | 'stream' | 'site'; name: string } };

/** A rollout by its id, else a stream, else a site. Throws MistakeError BAD_ARGUMENT with what there is. */
async function meantBy(context: Context, registry: Registry, what: string): Promise<Meant> {
  const rollout = await registry.findRollout(what);
  // A stream's name finds its latest rollout as well: what was written decides.
  if (rollout && rollout.stream !== what) {
    return { filter: { rollout: rollout.firstRunId }, named: { kind: 'rollout', name: rollout.label } };
  }
  if (rollout || (await registry.desiredStreams()).includes(what)) {
    return { filter: { stream: what }, named: { kind: 'stream', name: what } };
  }
  const fleet = (await meantFleet(context)).sites;
  const declared = fleet.find(({ id }) => id === what);
  if (declared || (await registry.reports([what])).has(what)) {
    const frozen = (only: Selector | undefined): boolean =>
      only === undefined || (declared ? matches(only, declared) : false);
    return { filter: { site: what, frozen }, named: { kind: 'site', name: what } };
  }
  const sites = fleet.map(({ id }) => id);
  const rollouts = (await registry.rollouts({ limit: 200 })).flatMap(({ label, stream }) => [label, stream]);
  throw new MistakeError(
    'BAD_ARGUMENT',
    `expected a site, a stream or the id of a rollout, got ${what}`,
    suggestions(what, [...rollouts, ...sites], 'site, stream or rollout'),
  );
}

/** Epoch ms. Throws MistakeError BAD_ARGUMENT. */
function fromOf(written: string, now: number): number {
  const age = parseDuration(written);
  if (age !== undefined) return now - age;
  const isTime = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2}))?$/.test(written);
  const from = isTime ? Date.parse(written) : Number.NaN;
  if (!Number.isNaN(from)) return from;
  const form =
    'expected --from as 2026-11-22 (UTC), a time with its zone such as 2026-11-22T03:00:00Z, or an age such as 24h';
  throw new MistakeError('BAD_ARGUMENT', `${form}; got ${written}`);
}

function historyText(context: Context, entries: HistoryEntry[], more: boolean): string {
  if (entries.length === 0) return 'nothing was recorded';
  const lines = entries.map((entry) => historyLine(entry, context.io.now()));
  return [...lines, ...(more ? [`… and older ones (--limit, --from)`] : [])].join('\n');
}
