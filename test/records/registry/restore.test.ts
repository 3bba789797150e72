import { beforeEach, describe, expect, it } from 'vitest';
import type { Registry } from '../../../records/registry/registry.js';
import type { SiteEvent, SiteReport } from '../../../policies/model/report.js';
import { releaseDigest, reported, Rollout } from './centre.js';
import { Journal, STREAM } from './facts.js';
import { registryUnderTest } from './on-each-database.js';

const underTest = registryUnderTest();
const [A, B, C] = ['osl-01', 'osl-02', 'osl-03'] as const;

/** What a site keeps, and what it no longer tells once it was acknowledged. */
class Agent {
  readonly journal: Journal;
  acked = 0;
  generation = 0;
  version = '2.3.0';
  constructor(readonly site: string) {
    this.journal = new Journal(site);
  }

  obey(rollout: Rollout, verb: 'converge' | 'revert' = 'converge', version = rollout.version): void {
    const word = verb === 'converge' ? 'confirmed' : 'reverted';
    this.journal.add('accepted', { commandId: rollout.id(this.site, verb), stream: STREAM });
    this.journal.ended(rollout.answer(this.site, word, verb));
    this.generation = rollout.frozen.generation + (verb === 'revert' ? 1 : 0);
    this.version = version;
  }

  report(): SiteReport {
    const { site, acked, generation, version } = this;
    return { ...reported(site, generation, { sequence: this.journal.events.length, version }), acked };
  }

  untold(): SiteEvent[] {
    return this.journal.events.slice(this.acked);
  }

  async tell(registry: Registry) {
    return registry.recordSiteEvents(this.report(), this.untold(), 9_000);
  }

  /** The next command says what is recorded. */
  async hear(registry: Registry): Promise<void> {
    const mark = (await registry.ackedThrough([this.site])).get(this.site);
    if (mark?.epoch === 1 && mark.sequence <= this.journal.events.length)
      this.acked = Math.max(this.acked, mark.sequence);
  }
}

let agents: Record<'a' | 'b' | 'c', Agent>;
let restored: Registry | undefined;

/**
 * Rollout 1 is promoted, and then the backup is made. After it rollout 2 is promoted: A and B confirm, C is dark; and
 * rollout 3 is undone at A. What A told was acknowledged, what B told was not. Then the registry is lost.
 */
beforeEach(async () => {
  agents = { a: new Agent(A), b: new Agent(B), c: new Agent(C) };
  const { a, b, c } = agents;
  const lost = await underTest.open();
  const one = await Rollout.begin(lost, 'run-1', '2.4.0', [A, B, C]);
  for (const agent of [a, b, c]) {
    await one.command(agent.site);
    agent.obey(one);
    await agent.tell(lost);
    await agent.hear(lost);
  }
  await one.seal('promoted');
  const backup = await (await underTest.place()).backup();

  const two = await Rollout.begin(lost, 'run-2', '2.5.0', [A, B, C]);
  for (const agent of [a, b, c]) await two.command(agent.site);
  a.obey(two);
  b.obey(two);
  await a.tell(lost);
  await b.tell(lost);
  await two.dispose(C, 'owed');
  await two.seal('promoted');
  const three = await Rollout.begin(lost, 'run-3', '2.6.0', [A]);
  a.obey(three);
  a.obey(three, 'revert', '2.5.0');
  await a.tell(lost);
  await three.seal('reverted');
  await a.hear(lost);
  expect(a.untold()).toEqual([]);
  expect(b.untold()).toHaveLength(2);
  restored = backup === undefined ? undefined : await underTest.openAt(backup);
});

/** What the reconciler does with reports of a generation that no rollout here can have had. */
async function adoptBeyond(registry: Registry): Promise<void> {
  const known = await registry.knownGeneration(STREAM);
  for (const [site, { report }] of await registry.reports()) {
    const { generation, live } = report.streams[STREAM] ?? { generation: 0, live: undefined };
    if (generation > known && live !== undefined) await registry.adoptLive(site, STREAM, live, generation, 9_000);
  }
}

describe('[A19] O3: a registry restored to an earlier point', () => {
  it('knows what it knew, and nothing that came after', async (test) => {
    if (restored === undefined) return test.skip('pg_dump and pg_restore are not on this machine');
    expect((await restored.rollouts()).map(({ firstRunId }) => firstRunId)).toEqual(['run-1']);
    expect(await restored.knownGeneration(STREAM)).toBe(2);
    expect(await restored.debts()).toEqual([]);
    expect(await restored.ackedThrough([A])).toEqual(new Map([[A, { epoch: 1, sequence: 2 }]]));
  });

  it('never hands out a generation or a label of a rollout that it has lost, once sites have reported', async (test) => {
    if (restored === undefined) return test.skip('pg_dump and pg_restore are not on this machine');
    for (const agent of Object.values(agents)) await agent.tell(restored);
    for (const [run, version] of [
      ['run-4', '2.6.0'],
      ['run-5', '2.5.0'],
      ['run-6', '2.5.0'],
    ] as const) {
      const next = await Rollout.begin(restored, run, version, [A]);
      expect(next.frozen.generation).toBeGreaterThan(agents.a.generation);
      // Of 2.5.0 and of 2.6.0 there was an attempt 1: shards of theirs may still run under its label.
      expect(next.frozen.attempt).toBeGreaterThan(2);
    }
    const labels = (await restored.rollouts()).map(({ label }) => label);
    expect(new Set(labels).size).toBe(labels.length);
  });

  it('takes over what is live at sites that went beyond it, and leaves the others as they were', async (test) => {
    if (restored === undefined) return test.skip('pg_dump and pg_restore are not on this machine');
    const desired = async (): Promise<unknown> => {
      const found = await restored?.desired(STREAM, [A, B, C]);
      return [...(found ?? [])].map(([site, { release, generation }]) => [site, release.version, generation]);
    };
    const before = [A, B, C].map((site) => [site, '2.4.0', 1]);
    expect(await desired()).toEqual(before);
    for (const agent of Object.values(agents)) await agent.tell(restored);
    expect(await desired()).toEqual(before);
    const after = [
      [A, '2.5.0', 6],
      [B, '2.5.0', 3],
      [C, '2.4.0', 1],
    ];
    for (let round = 0; round < 2; round += 1) {
      await adoptBeyond(restored);
      expect(await desired()).toEqual(after);
    }
    expect((await restored.desired(STREAM, [A])).get(A)?.release.digest).toBe(releaseDigest('2.5.0'));
    // What comes late, of before the backup, lowers nothing.
    await restored.recordReport(reported(A, 1, { sequence: 1, version: '2.4.0' }), 9_500);
    await adoptBeyond(restored);
    expect(await desired()).toEqual(after);
    expect((await restored.reports([A])).get(A)?.report.streams[STREAM]?.generation).toBe(6);
  });

  it('counts the results that sites tell again, and does not invent those that they do not', async (test) => {
    if (restored === undefined) return test.skip('pg_dump and pg_restore are not on this machine');
    for (let round = 0; round < 2; round += 1) for (const agent of Object.values(agents)) await agent.tell(restored);
    expect((await restored.siteRows('run-2')).map(({ site, outcome }) => [site, outcome])).toEqual([[B, 'confirmed']]);
    expect(await restored.siteRows('run-3')).toEqual([]);
    // A site cannot begin a chain: of a rollout that is lost there is no evidence, and none is made up.
    expect(await restored.evidence('run-2')).toEqual([]);
    expect(await restored.evidenceHead('run-2')).toBeUndefined();
    expect((await restored.siteRows('run-1')).map(({ outcome }) => outcome)).toEqual(Array(3).fill('confirmed'));
  });

  it('says which events are lost for good, and goes on acknowledging what comes after them', async (test) => {
    if (restored === undefined) return test.skip('pg_dump and pg_restore are not on this machine');
    const { a, b } = agents;
    await a.tell(restored);
    await b.tell(restored);
    const gap = { kind: 'gap', sequence: 8, detail: { missingFrom: 3, missingTo: 8, acknowledged: true } };
    expect(await restored.siteAnomalies(A, 10)).toMatchObject([gap]);
    expect(await restored.siteAnomalies(B, 10)).toEqual([]);
    expect(await restored.siteEvents(A, 10)).toEqual(a.journal.events.slice(0, 2));
    expect(await restored.siteEvents(B, 10)).toEqual(b.journal.events);
    a.journal.add('staged');
    a.journal.add('staged');
    await a.tell(restored);
    await a.hear(restored);
    expect(a.acked).toBe(10);
    expect(a.untold()).toEqual([]);
  });

  it('does not go past a gap that may still be filled: only what the site takes for acknowledged is lost', async (test) => {
    if (restored === undefined) return test.skip('pg_dump and pg_restore are not on this machine');
    const { b } = agents;
    await restored.recordSiteEvents(b.report(), b.journal.events.slice(3), 9_000);
    expect((await restored.ackedThrough([B])).get(B)).toEqual({ epoch: 1, sequence: 2 });
    // Nor does it believe a site that takes more for acknowledged than it has ever written.
    await restored.recordReport({ ...b.report(), acked: 50 }, 9_000);
    expect((await restored.ackedThrough([B])).get(B)).toEqual({ epoch: 1, sequence: 2 });
    await b.tell(restored);
    expect((await restored.ackedThrough([B])).get(B)).toEqual({ epoch: 1, sequence: 4 });
  });
});
