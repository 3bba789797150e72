/** Whatever order the calls of a rollout come in, and however often, they come to the same debts and the same desired state. */
import { describe, expect, it } from 'vitest';
import type { Registry } from '../../../records/registry/registry.js';
import { key, Journal, report, settled, STREAM, commandId, result } from './facts.js';
import { PLACE_OF_ALL, Rollout } from './centre.js';
import { registryUnderTest } from './on-each-database.js';

const underTest = registryUnderTest();
/** Each begins with an empty registry, which takes a server longer. */
const SEEDS = Number(process.env['FOOTHOLD_SEEDS'] ?? (underTest.database === 'SQLite' ? 25 : 6));
const FIRST_SEED = Number(process.env['FOOTHOLD_SEED'] ?? 1);
const SITES = ['s1', 's2', 's3', 's4', 's5', 's6'];
const RUNS = ['run-1', 'run-2', 'run-3'];

/** mulberry32 */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

type Random = () => number;
const oneOf = <T>(random: Random, things: readonly T[]): T => things[Math.floor(random() * things.length)] as T;
const shuffled = <T>(random: Random, things: T[]): T[] =>
  things
    .map((thing) => ({ thing, by: random() }))
    .toSorted((a, b) => a.by - b.by)
    .map(({ thing }) => thing);

type Call = (registry: Registry) => Promise<unknown>;
interface Life {
  calls: Call[];
  /** Of one site and rollout, as they must turn out whatever the order: worked out here, by other means. */
  owed: string[];
  desired: Record<string, string>;
}

const ENDS = ['promoted', 'aborted', 'reverted', 'terminated'] as const;
const WORDS = ['confirmed', 'reverted', 'rejected', 'none'] as const;

/** What happens to one site under one rollout. */
interface Fate {
  commanded: boolean;
  word: (typeof WORDS)[number];
  /** It was said to be owed before anything else was known of it. */
  owed: boolean;
  undone: 'no' | 'owed' | 'answered';
  wentBack: boolean;
}

function fateOf(random: Random): Fate {
  const commanded = random() < 0.85;
  const word = commanded ? oneOf(random, WORDS) : 'none';
  const undone = commanded && random() < 0.35 ? oneOf(random, ['owed', 'answered'] as const) : 'no';
  return { commanded, word, owed: random() < 0.6, undone, wentBack: word === 'confirmed' && random() < 0.25 };
}

/** Three rollouts of one stream to the same sites, each with its end; every call may come at any time after freezing. */
function lifeOf(random: Random): Life {
  const calls: Call[] = [];
  const journals = new Map(SITES.map((site) => [site, new Journal(site)]));
  const fates = new Map<string, Map<string, Fate>>();
  const ends = new Map<string, (typeof ENDS)[number]>();
  for (const run of RUNS) {
    const ofSites = new Map(SITES.map((site) => [site, fateOf(random)]));
    const end = oneOf(random, ENDS);
    fates.set(run, ofSites);
    ends.set(run, end);
    for (const [site, fate] of ofSites) calls.push(...callsOf(run, journals.get(site) as Journal, fate, random));
    calls.push((registry) => registry.handOver(run, end, 5_000));
  }
  return { calls, owed: owedOf(fates, ends), desired: desiredOf(fates, ends) };
}

function callsOf(run: string, journal: Journal, fate: Fate, random: Random): Call[] {
  const { site } = journal;
  const [converge, revert] = [commandId(run, site), commandId(run, site, 'revert')];
  const row = (verb: 'converge' | 'revert', id: string): Call => {
    const commanded = { site, ...PLACE_OF_ALL, verb, commandId: id };
    return (registry) => registry.recordCommanded(run, [commanded], 2_000);
  };
  const calls: Call[] = [];
  if (fate.commanded) calls.push(row('converge', converge));
  if (fate.owed) {
    const rows = [{ site, commandId: converge, outcome: { site, outcome: 'owed' as const, ...PLACE_OF_ALL } }];
    calls.push((registry) => registry.recordDispositions(key(run, `owed/${site}`), rows, 3_000));
  }
  if (fate.word !== 'none') calls.push(...answersOf(run, journal, converge, fate.word, random));
  if (fate.wentBack) {
    const event = journal.wentBack(converge, 'check', 6_000);
    calls.push((registry) => registry.recordSiteEvents(reportIn(journal), [event], 6_000));
  }
  if (fate.undone !== 'no') calls.push(row('revert', revert));
  if (fate.undone === 'answered') calls.push(...answersOf(run, journal, revert, 'reverted', random));
  return calls;
}

/** By the observer, by the inbox, or by both. */
function answersOf(
  run: string,
  journal: Journal,
  id: string,
  word: 'confirmed' | 'reverted' | 'rejected',
  random: Random,
): Call[] {
  const verb = id.includes('/revert/') ? 'revert' : 'converge';
  const cause = verb === 'revert' ? ('command' as const) : ('check' as const);
  const answer = result(id, word, word === 'reverted' ? { cause } : {});
  const event = journal.ended(answer);
  const byObserver: Call = (registry) =>
    registry.recordSettled(
      key(run, `settled/${id}`),
      PLACE_OF_ALL,
      [settled(answer, [event], reportIn(journal))],
      4_000,
    );
  const byInbox: Call = (registry) => registry.recordSiteEvents(reportIn(journal), [event], 4_000);
  return oneOf(random, [[byObserver], [byInbox], [byObserver, byInbox]]);
}

function reportIn({ site, events }: Journal) {
  return report(site, { sequence: events.length, streams: {} });
}

/** The rules of policies/model/debt.ts, said once more in other words. */
function owedOf(fates: Map<string, Map<string, Fate>>, ends: Map<string, string>): string[] {
  const owed: string[] = [];
  for (const site of SITES) {
    const of = RUNS.map((run) => ({ run, end: ends.get(run), fate: fates.get(run)?.get(site) as Fate }));
    for (const { run, fate } of of) if (fate.undone === 'owed') owed.push(`revert ${site} ${run}`);
    const open = of.filter(
      ({ end, fate }) =>
        end === 'promoted' && (fate.owed || fate.commanded) && fate.word === 'none' && fate.undone === 'no',
    );
    const newest = open.at(-1);
    if (newest === undefined) continue;
    const index = RUNS.indexOf(newest.run);
    const later = of.slice(index + 1);
    const reached = of.slice(index).some(({ fate }) => fate.word === 'confirmed');
    if (!reached && !later.some(({ end }) => end === 'promoted')) owed.push(`converge ${site} ${newest.run}`);
  }
  return owed.toSorted();
}

function desiredOf(fates: Map<string, Map<string, Fate>>, ends: Map<string, string>): Record<string, string> {
  const desired: Record<string, string> = {};
  for (const site of SITES)
    for (const run of RUNS) {
      const fate = fates.get(run)?.get(site) as Fate;
      const keeps = fate.word === 'confirmed' && !fate.wentBack && fate.undone === 'no';
      if (ends.get(run) === 'promoted' || keeps) desired[site] = run;
    }
  return desired;
}

async function liveThrough(
  registry: Registry,
  calls: Call[],
): Promise<{ owed: string[]; desired: Record<string, string> }> {
  for (const [index, run] of RUNS.entries()) await Rollout.begin(registry, run, `2.${index}.0`, SITES);
  for (const call of calls) await call(registry);
  const owed = (await registry.debts()).map(({ verb, site, firstRunId, owner }) => {
    expect(owner, 'every rollout here is sealed').toBe('catchUp');
    return `${verb} ${site} ${firstRunId}`;
  });
  const totals = (await registry.debtTotals()).reduce((sum, { count }) => sum + count, 0);
  expect(totals).toBe(owed.length);
  const desired = [...(await registry.desired(STREAM, SITES))].map(([site, { firstRunId }]) => [site, firstRunId]);
  return { owed: owed.toSorted(), desired: Object.fromEntries(desired) as Record<string, string> };
}

describe('[A19][B36] O6: debts and desired state', () => {
  it(`come to what the rules say, in any order and however often, for ${SEEDS} seeds`, async () => {
    for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed += 1) {
      const random = randomOf(seed);
      const life = lifeOf(random);
      const again = life.calls.filter(() => random() < 0.3);
      const order = shuffled(random, [...life.calls, ...again]);
      const registry = await underTest.openEmpty();
      const lived = await liveThrough(registry, order);
      expect(lived, `seed ${seed}: FOOTHOLD_SEED=${seed} FOOTHOLD_SEEDS=1`).toEqual({
        owed: life.owed,
        desired: life.desired,
      });
    }
  }, 60_000);
});
