/**
 * The fleet as `fleet status` counts it from groups of sites, against every row read by itself, sorted and counted one by one:
 * over registries to which anything may have happened, and over one that was put back from a copy.
 */
import { expect, it } from 'vitest';
import type { Site } from '../../../policies/model/fleet.js';
import type { SiteReport } from '../../../policies/model/report.js';
import { countFleet } from '../../../cli/fleet-count.js';
import { fleetRows, type StreamRow } from '../../../cli/fleet-rows.js';
import type { Registry } from '../../../records/registry/registry.js';
import { releaseDigest, Rollout } from './centre.js';
import { Journal, report, STREAM } from './facts.js';
import { registryUnderTest } from './on-each-database.js';

const underTest = registryUnderTest();
/** Each begins with an empty registry, which takes a server longer. */
const SEEDS = Number(process.env['FOOTHOLD_SEEDS'] ?? (underTest.database === 'SQLite' ? 6 : 3));
const FIRST_SEED = Number(process.env['FOOTHOLD_SEED'] ?? 1);
const STEPS = 120;
const NOW = 100_000;
const IDS = Array.from({ length: 14 }, (_, i) => `s${String(i).padStart(2, '0')}`);
const OTHER = 'firewall-policy';
const by = { by: 'anna', reason: 'a test' };

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

/** Some take no part, some declare nothing, some declare a version that they may not report. */
function fleet(): Site[] {
  return IDS.map((id, i) => ({
    ...{ id, risk: 'low', link: { name: 'fibre', settleWithin: 1, startWithin: 1, heartbeat: 1 }, queue: `site-${id}` },
    streams: i === 5 ? [] : i % 3 === 0 ? [STREAM, OTHER] : i % 3 === 1 ? [OTHER, STREAM] : [STREAM],
    versions: i % 4 === 0 ? {} : { firmware: '1' },
    vars: {},
    state: i === 3 ? 'maintenance' : 'active',
  }));
}

class Life {
  readonly #random: () => number;
  readonly #rollouts: Rollout[] = [];
  readonly #sequences = new Map<string, number>();
  #calls = 0;
  constructor(
    readonly registry: Registry,
    seed: number,
  ) {
    this.#random = randomOf(seed);
  }

  oneOf<T>(things: readonly T[]): T {
    return things[Math.floor(this.#random() * things.length)] as T;
  }

  async step(): Promise<void> {
    this.#calls += 1;
    const [site, rollout] = [this.oneOf(IDS), this.#rollouts.length > 0 ? this.oneOf(this.#rollouts) : undefined];
    const what = this.oneOf([...Array.from({ length: 9 }, () => 'report' as const), ...WHAT]);
    if (what === 'report') return this.#report(site);
    if (what === 'identity') return this.#identity(site);
    if (what === 'adopt')
      return this.registry.adoptLive(site, STREAM, live(this.oneOf(VERSIONS)), this.oneOf([1, 3, 5, 9]), NOW);
    if (what === 'begin' || rollout === undefined) return this.#begin();
    await this.#move(rollout, this.oneOf(rollout.sites), what);
  }

  async #report(site: string): Promise<void> {
    const sequence = this.oneOf([0, 1, 1]) + (this.#sequences.get(site) ?? 0);
    this.#sequences.set(site, sequence);
    const names = this.oneOf([[STREAM], [STREAM, OTHER], [OTHER], [], ['not-declared', STREAM]]);
    const streams = Object.fromEntries(names.map((name) => [name, this.#stream()])) as SiteReport['streams'];
    const versions: Record<string, string> = this.oneOf([{}, { firmware: '1' }, { firmware: '2', os: '1' }]);
    const epoch = this.oneOf([1, 1, 1, 1, 1, 2]);
    const held = { by: 'kari', reason: 'storm', at: 1 };
    const holds = this.oneOf([undefined, undefined, undefined, [held], [{ ...held, stream: STREAM }]]);
    const noted = { ...(holds && { holds }), ...(this.oneOf([0, 0, 0, 1]) && { observing: true as const }) };
    const said = report(site, { sequence, streams, versions, epoch, at: this.#calls, ...noted });
    await this.registry.recordReport(said, NOW);
    if (this.oneOf([0, 0, 0, 0, 0, 1]))
      await this.registry.putHold({ site: this.oneOf(IDS), by: 'kari', reason: 'storm', at: NOW - 1 });
  }

  /** Also what no agent says, and what no database holds. */
  #stream() {
    const state = this.oneOf(['idle', 'confirmed', 'confirmed', 'safe-mode', 'staged', 'reverted', 'of another time']);
    const generation = this.oneOf([1, 1, 2, 3, 4, 6, 40, -1, 1.5, 2 ** 60, 'nine\0', null]);
    const held = this.oneOf([live('1.0.0'), live('2.0.0'), live('3.0.0'), undefined, {}, { digest: 'a\0b' }]);
    const drift = this.oneOf([0, 0, 0, 2].map((total) => ({ total, against: live('1.0.0'), at: 1, paths: [] })));
    return { state, generation, try: 1, checks: [], ...(held && { live: held }), ...(drift && { drift }) };
  }

  async #identity(site: string): Promise<void> {
    const token = { id: `t-${this.#calls}`, expiresAt: NOW + 1_000 };
    const refused = (): undefined => undefined;
    switch (this.oneOf(['enrol', 'enrol', 'bind', 'bind', 'replace', 'retire', 'fork', 'fork'])) {
      case 'enrol':
        return void (await this.registry.enrol({ site, token, ...by }, NOW).catch(refused));
      case 'replace':
        return void (await this.registry.replace({ site, token, ...by }, NOW).catch(refused));
      case 'retire':
        return void (await this.registry.retire({ site, ...by }, NOW));
      case 'bind': {
        const known = (await this.registry.identities([site])).get(site);
        const enrolment = { tokenId: known?.token?.id ?? 'none', instance: `i-${this.#calls}` };
        const said = { epoch: known?.epoch ?? 1, sequence: 0, at: this.#calls, enrolment };
        return this.registry.recordReport(report(site, said), NOW + this.oneOf([0, 5]));
      }
      default:
        for (const word of ['one', 'another']) await this.#deliver(site, word);
    }
  }

  /** Two journals of one epoch. */
  async #deliver(site: string, bootId: string): Promise<void> {
    const journal = new Journal(site);
    const { hash } = journal.add('started', { detail: { bootId } });
    const own = report(site, { at: this.#calls, sequence: 1, head: hash });
    await this.registry.recordSiteEvents(own, journal.events, NOW);
  }

  async #begin(): Promise<void> {
    const sites = IDS.filter(() => this.#random() < 0.7);
    const run = `run-${this.#calls}`;
    if (sites.length === 0) return;
    const narrowed = this.#random() < 0.5 ? { only: { id: sites } } : {};
    this.#rollouts.push(await Rollout.begin(this.registry, run, this.oneOf(VERSIONS), sites, narrowed));
  }

  async #move(rollout: Rollout, site: string, what: (typeof WHAT)[number]): Promise<void> {
    const verb = this.oneOf(['converge', 'converge', 'revert'] as const);
    if (what === 'seal') return void (await rollout.seal(this.oneOf(['promoted', 'aborted', 'reverted', 'halted'])));
    await rollout.command(site, verb);
    if (what === 'dispose') await rollout.dispose(site, 'owed', { verb });
    if (what === 'settle') await rollout.settle(rollout.answer(site, this.oneOf(['confirmed', 'reverted']), verb));
  }
}

const VERSIONS = ['1.0.0', '2.0.0', '3.0.0'];
const WHAT = [
  'begin',
  'command',
  'dispose',
  'dispose',
  'settle',
  'settle',
  'seal',
  'seal',
  'identity',
  'adopt',
] as const;

function live(version: string) {
  return { version, digest: releaseDigest(version) };
}

/** Every row, as it was before there were groups: read, sorted and counted one by one. */
async function oneByOne(registry: Registry, sites: Site[], stream?: string) {
  const streams = streamsOf(sites, stream);
  const known = new Map<string, number>();
  for (const one of streams) known.set(one, await registry.knownGeneration(one));
  const all = await fleetRows(registry, sites, known, NOW);
  const rows = all.filter((row) => stream === undefined || row.stream === stream);
  const held = new Set((await registry.holds(NOW)).map(({ site }) => site));
  const urgent = (row: StreamRow): number => urgency(row, held.has(row.site));
  rows.sort((a, b) => urgent(a) - urgent(b) || (a.site < b.site ? -1 : 1));
  const reports = await registry.reports();
  const word = (wanted: string): string[] => {
    const said = all.filter(({ speaker }) => speaker?.word === wanted).map(({ site }) => site);
    return [...new Set(said)];
  };
  return {
    order: rows.map((row) => [row.site, row.stream]),
    totals: streams.map((one) => totalsOf(one, rows)),
    neverReported: sites.filter(({ id }) => !reports.has(id)).map(({ id }) => id),
    speakers: { doubt: word('doubt'), refused: word('refused'), waiting: word('waiting') },
  };
}

function streamsOf(sites: Site[], stream?: string): string[] {
  return stream === undefined ? [...new Set(sites.flatMap((site) => site.streams))].sort() : [stream];
}

/** What a report says of a stream that it does not name is shown, and makes nothing urgent. */
function urgency({ state, owes, drift, receivedAt, differs, notes, speaker }: StreamRow, held: boolean): number {
  if (state === 'safe-mode' || speaker?.word === 'doubt') return 0;
  if (owes.revert > 0) return 1;
  if (drift === 'ahead' || drift === 'owed' || speaker?.word === 'refused') return 2;
  if (drift === 'unknown' || receivedAt === null) return 3;
  if (drift === 'pending') return 4;
  return differs.length > 0 || held || (state !== null && notes.length > 0) ? 5 : 6;
}

function totalsOf(stream: string, all: StreamRow[]) {
  const rows = all.filter((row) => row.stream === stream && row.declared === 'active');
  const count = (drift: StreamRow['drift']): number => rows.filter((row) => row.drift === drift).length;
  return {
    ...{ stream, sites: rows.length, same: count('same'), owed: count('owed'), pending: count('pending') },
    ...{ ahead: count('ahead'), unknown: count('unknown'), undecided: count(null) },
    owedReverts: rows.filter((row) => row.owes.revert > 0).length,
  };
}

async function byGroups(registry: Registry, sites: Site[], stream?: string) {
  const streams = streamsOf(sites, stream);
  const { first, of, ...rest } = countFleet(sites, await registry.tally(streams, NOW), streams, stream);
  const order = first(Infinity).map((one) => [one.site.id, one.stream]);
  expect(order).toHaveLength(of);
  expect(first(5).map((one) => [one.site.id, one.stream])).toEqual(order.slice(0, 5));
  return { ...rest, order };
}

async function expectSame(registry: Registry, sites: Site[]): Promise<Awaited<ReturnType<typeof oneByOne>>> {
  for (const stream of [STREAM, 'not-declared'])
    expect(await byGroups(registry, sites, stream)).toEqual(await oneByOne(registry, sites, stream));
  // As `--only` would leave some out, in any order.
  const some = sites.filter((_, i) => i % 2 === 0).toReversed();
  expect(await byGroups(registry, some)).toEqual(await oneByOne(registry, some));
  const all = await oneByOne(registry, sites);
  expect(await byGroups(registry, sites)).toEqual(all);
  return all;
}

it(`[A55] counts and orders as every row by itself does, over ${SEEDS} registries of any past`, async () => {
  const met = new Set<string>();
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed += 1) {
    const registry = await underTest.openEmpty();
    const life = new Life(registry, seed);
    for (let step = 1; step <= STEPS; step += 1) {
      await life.step();
      if (step % 12 !== 0) continue;
      const { totals, speakers, neverReported } = await expectSame(registry, fleet());
      for (const [what, count] of totals.flatMap((one) => Object.entries(one))) if (count !== 0) met.add(what);
      for (const [word, sites] of Object.entries(speakers)) if (sites.length > 0) met.add(word);
      if (neverReported.length > 0) met.add('neverReported');
    }
  }
  const everything = ['same', 'owed', 'pending', 'ahead', 'unknown', 'undecided', 'owedReverts'];
  expect([...met]).toEqual(expect.arrayContaining([...everything, 'doubt', 'refused', 'waiting', 'neverReported']));
}, 120_000);

it('counts the same over a registry that was put back from a copy, and goes on from there', async () => {
  const registry = await underTest.open();
  const life = new Life(registry, 7);
  for (let step = 0; step < 60; step += 1) await life.step();
  const then = await expectSame(registry, fleet());
  const address = await (await underTest.place()).backup();
  if (address === undefined) return;
  for (let step = 0; step < 60; step += 1) await life.step();
  const back = await underTest.openAt(address);
  expect(await expectSame(back, fleet())).toEqual(then);
  // The sites have obeyed what it never heard of.
  const streams = {
    [STREAM]: { state: 'confirmed' as const, generation: 90, try: 1, checks: [], live: live('9.0.0') },
  };
  for (const site of IDS) await back.recordReport(report(site, { sequence: 900, at: 900, streams }), NOW);
  await expectSame(back, fleet());
  for (const site of IDS) await back.adoptLive(site, STREAM, live('9.0.0'), 90, NOW);
  const { totals } = await expectSame(back, fleet());
  expect(totals.find(({ stream }) => stream === STREAM)?.ahead).toBe(0);
});

it('takes no site for another whose id it holds', async () => {
  const registry = await underTest.openEmpty();
  await registry.recordReport(report(`x\n${IDS[0]}\n${IDS[1]}`), NOW);
  expect((await expectSame(registry, fleet())).neverReported).toEqual(IDS);
});
