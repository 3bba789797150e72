/** What must hold of holds and of files changed by hand: each says no where it is broken. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SiteEvent, SiteEventKind } from '../../../policies/model/report.js';
import type { Agent } from '../../../site/agent.js';
import type { Sight } from './invariants.js';
import { People } from './people.js';
import type { World } from './world.js';

const STREAM = 'edge-proxy';
const UNDER_HOLD = 'nothing new is switched under a hold';
const PUT_BACK_HELD = 'nothing is put back under a hold';
const ONLY_WANTED = 'only what the release says is put back';
const ALL_WANTED = 'what the release says is put back';
const agent = { hold: () => ({ holds: [] }), unhold: () => ({}) } as unknown as Agent;
const deaf = {
  hold: () => {
    throw new Error('the disk is full');
  },
} as unknown as Agent;

let said: string[];
let root: string;
beforeEach(() => {
  said = [];
  root = mkdtempSync(join(tmpdir(), 'foothold-people-'));
  mkdirSync(join(root, 'more'));
  writeFileSync(join(root, 'more', 'filler'), 'of the release');
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function people(repairs = true): People {
  const streams = new Map([[STREAM, { name: STREAM, shape: 'directory' }]]);
  const world = { streams, target: () => root, touched: () => undefined } as unknown as World;
  return new People(world, repairs, (invariant) => said.push(invariant));
}
const sight = (at: number, kind: SiteEventKind, detail: object = {}): Sight => {
  const fresh = [{ kind, stream: STREAM, detail } as unknown as SiteEvent];
  return { at, books: { fresh }, switching: kind === 'switching' } as unknown as Sight;
};
const repaired = (at: number, path: string) => sight(at, 'repaired', { paths: [{ path }] });
const always = { ms: 5_000, ends: 'by person' };
const byTime = { ms: 5_000, ends: 'by time' };

describe('a hold', () => {
  it.each([
    ['of the stream', { ...always, stream: STREAM }],
    ['of the whole site', always],
    ['that ends by time, before its end', byTime],
  ])('%s is not switched under, and nothing is put back under it', (_what, hold) => {
    const at = people();
    at.hold(agent, 1_000, hold);
    at.see(sight(5_500, 'switching'));
    at.see(repaired(5_600, 'more/filler'));
    expect(said).toEqual([UNDER_HOLD, PUT_BACK_HELD]);
  });

  it('binds nothing once it is over, lifted, refused, of another stream, or in doubt', () => {
    const over = people();
    over.hold(agent, 1_000, byTime);
    over.see(sight(6_100, 'switching'));
    const lifted = people();
    lifted.hold(agent, 1_000, always);
    lifted.unhold(agent, '');
    lifted.see(sight(2_000, 'switching'));
    const refused = people();
    expect(() => refused.hold(deaf, 1_000, always)).toThrow('full');
    refused.see(sight(2_000, 'switching'));
    const other = people();
    other.hold(agent, 1_000, { ...always, stream: 'firewall-policy' });
    other.see(sight(2_000, 'switching'));
    const doubtful = people();
    doubtful.hold(agent, 1_000, byTime);
    doubtful.rebootedWithAnotherClock();
    doubtful.see(sight(2_000, 'switching'));
    const restored = people();
    restored.hold(agent, 1_000, always);
    restored.restored();
    restored.see(sight(2_000, 'switching'));
    expect(said).toEqual([]);
  });
});

describe('a file changed by hand', () => {
  it('is put back if the release says so, and left alone if not', () => {
    const at = people();
    expect(at.drift(STREAM, 'beside', 1_000)).toBe(join(root, 'by-hand'));
    at.drift(STREAM, 'filler', 1_000);
    at.see(repaired(2_000, 'more/filler'));
    at.end({ at: 500_000 } as Sight, () => true);
    expect({ said, counts: at.counts }).toEqual({ said: [], counts: { holds: 0, drifts: 2, repaired: 1 } });
  });

  it('is not put back against the word of the release', () => {
    people(false).see(repaired(2_000, 'more/filler'));
    people().see(repaired(2_000, 'by-hand'));
    const taken = people();
    taken.drift(STREAM, 'beside', 1_000);
    rmSync(join(root, 'by-hand'));
    taken.see(repaired(2_000, 'more/filler'));
    taken.end({ at: 3_000 } as Sight, () => true);
    expect(said).toEqual([ONLY_WANTED, ONLY_WANTED, ONLY_WANTED, ONLY_WANTED]);
  });

  it('is not left as it is where the release says that it is put back, with nothing in the way', () => {
    const at = people();
    at.drift(STREAM, 'in more', 1_000);
    at.end({ at: 100_000 } as Sight, () => true);
    at.end({ at: 500_000 } as Sight, () => false);
    expect(said).toEqual([]);
    at.end({ at: 500_000 } as Sight, () => true);
    expect(said).toEqual([ALL_WANTED]);
  });
});
