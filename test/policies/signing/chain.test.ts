import { describe, expect, it } from 'vitest';
import type { EvidenceEntry } from '../../../policies/model/evidence.js';
import type { SiteEvent } from '../../../policies/model/report.js';
import {
  hashOfEntry,
  judgeChain,
  judgeSiteEvents,
  linkEntry,
  linkSiteEvent,
  NO_PREVIOUS,
} from '../../../policies/signing/chain.js';

const LENGTH = 6;

function chain(length = LENGTH): EvidenceEntry[] {
  const entries: EvidenceEntry[] = [];
  for (let index = 0; index < length; index += 1) {
    const data = { value: index / 3, site: `osl-0${index}`, note: 'åre "quoted"', none: null };
    const content = { kind: 'gate', data, rollout: 'run-1', at: 1_000 + index, runId: 'run-1', activityId: '7', index };
    entries.push(linkEntry(content, entries.at(-1)));
  }
  return entries;
}

/** What a forger who can hash writes: the entry's own hash fits again. */
function rehashed(entry: EvidenceEntry): EvidenceEntry {
  return { ...entry, hash: hashOfEntry(entry) };
}

function at<T>(list: T[], index: number): T {
  const found = list[index];
  if (found === undefined) throw new Error(`nothing at ${index}`);
  return found;
}

describe('a chain of evidence', () => {
  it('[A43] begins at sequence 1 after 64 zeros, and holds', () => {
    const entries = chain();
    expect(at(entries, 0)).toMatchObject({ sequence: 1, previous: NO_PREVIOUS });
    expect(judgeChain(entries)).toEqual({ ok: true });
    expect(judgeChain(entries, at(entries, LENGTH - 1))).toEqual({ ok: true });
    expect(judgeChain([])).toEqual({ ok: true });
  });

  it('[A42] hashes the same after a round trip through JSON in another key order', () => {
    const turned = chain().map((entry): unknown =>
      JSON.parse(JSON.stringify(Object.fromEntries(Object.entries(entry).reverse()))),
    );
    expect(judgeChain(turned as EvidenceEntry[])).toEqual({ ok: true });
  });

  it.each([...Array(LENGTH).keys()])('[A43] E1: names entry %i when any field of it is changed', (index) => {
    const changes: Partial<EvidenceEntry>[] = [
      { kind: 'verb' },
      { data: { value: 1 } },
      { rollout: 'run-2' },
      { at: 1_000 + index + 0.5 },
      { runId: 'other' },
      { activityId: '8' },
      { index: 99 },
      { sequence: index + 2 },
      { previous: 'f'.repeat(64) },
      { hash: 'f'.repeat(64) },
    ];
    for (const change of changes) {
      const entries = chain();
      entries[index] = { ...at(entries, index), ...change };
      expect(judgeChain(entries), JSON.stringify(change)).toMatchObject({ ok: false, index });
    }
  });

  it.each([...Array(LENGTH - 1).keys()])(
    '[A43] E1: names entry %i when it is dropped, moved or written anew',
    (index) => {
      const dropped = chain();
      dropped.splice(index, 1);
      expect(judgeChain(dropped)).toMatchObject({ ok: false, index });

      const moved = chain();
      [moved[index], moved[index + 1]] = [at(moved, index + 1), at(moved, index)];
      expect(judgeChain(moved)).toMatchObject({ ok: false, index });

      const doubled = chain();
      doubled.splice(index, 0, at(doubled, index));
      expect(judgeChain(doubled)).toMatchObject({ ok: false, index: index + 1 });

      // Its own hash fits again: then it is the next entry that no longer holds.
      const forged = chain();
      forged[index] = rehashed({ ...at(forged, index), data: { value: 0 } });
      expect(judgeChain(forged)).toMatchObject({ ok: false, index: index + 1 });
    },
  );

  it('[A43] E1: names a back-dated entry, also when it and all after it are hashed anew', () => {
    const entries = chain();
    const forged = entries.slice(0, 3);
    for (const { kind, data, rollout, at: time, runId, activityId, index } of entries.slice(3)) {
      const backDated = index === 3 ? 500 : time;
      forged.push(linkEntry({ kind, data, rollout, at: backDated, runId, activityId, index }, forged.at(-1)));
    }
    expect(judgeChain(forged)).toMatchObject({
      ok: false,
      index: 3,
      reason: expect.stringContaining('dated') as string,
    });
  });

  it('[A43] E1: a cut end shows against the head that is kept elsewhere', () => {
    const entries = chain();
    const head = at(entries, LENGTH - 1);
    expect(judgeChain(entries.slice(0, -1))).toEqual({ ok: true });
    expect(judgeChain(entries.slice(0, -1), head)).toMatchObject({ ok: false, index: LENGTH - 1 });
    expect(judgeChain([], head)).toMatchObject({ ok: false, index: 0 });
  });

  it('[A43] E1: finds every one of 10,000 flipped characters of the written chain, in the entry that was hit', () => {
    const lines = chain(4).map((entry) => JSON.stringify(entry));
    const text = lines.join('\n');
    let random = 12_345;
    const next = (below: number): number => (random = (random * 1_103_515_245 + 12_345) % 2 ** 31) % below;
    let judgedByHash = 0;
    for (let flip = 0; flip < 10_000; flip += 1) {
      const place = next(text.length);
      const code = text.charCodeAt(place) ^ (1 << next(7));
      const index = text.slice(0, place).split('\n').length - 1;
      const flipped = text.slice(0, place) + String.fromCharCode(code) + text.slice(place + 1);
      let entries: EvidenceEntry[];
      try {
        entries = flipped.split('\n').map((line) => JSON.parse(line) as EvidenceEntry);
      } catch {
        continue;
      }
      judgedByHash += 1;
      expect(judgeChain(entries), `${index}: ${flipped}`).toMatchObject({ ok: false, index });
    }
    expect(judgedByHash).toBeGreaterThan(5_000);
  });

  it('refuses to link what JSON cannot carry, and judges it as broken instead of throwing', () => {
    const content = { kind: 'gate', data: { value: NaN }, rollout: 'r', at: 1, runId: 'r', activityId: '1', index: 0 };
    expect(() => linkEntry(content)).toThrow();
    expect(judgeChain([{ ...at(chain(1), 0), data: { value: NaN } }])).toMatchObject({ ok: false, index: 0 });
  });
});

describe('the journal of a site', () => {
  function journal(epoch: number, length: number): SiteEvent[] {
    const events: SiteEvent[] = [];
    for (let index = 0; index < length; index += 1) {
      const content = { site: 'osl-01', epoch, at: 5_000 - index, kind: 'staged' as const, detail: { index } };
      events.push(linkSiteEvent(content, events.at(-1)));
    }
    return events;
  }

  it('[B15] holds within an epoch, begins anew with the next, and may be judged from any event on', () => {
    const [first, second] = [journal(1, 4), journal(2, 3)];
    expect(judgeSiteEvents([...first, ...second])).toEqual({ ok: true });
    expect(judgeSiteEvents(first.slice(2), at(first, 1))).toEqual({ ok: true });
    expect(judgeSiteEvents([...first.slice(2), ...second], at(first, 1))).toEqual({ ok: true });
  });

  it('[B15] E1: names the first event that does not hold', () => {
    const first = journal(1, 4);
    const second = journal(2, 3);
    expect(judgeSiteEvents(first.slice(1))).toMatchObject({ ok: false, index: 0 });
    expect(judgeSiteEvents([at(first, 0), at(first, 2)])).toMatchObject({ ok: false, index: 1 });
    expect(judgeSiteEvents([...second, ...first])).toMatchObject({ ok: false, index: 3 });
    expect(judgeSiteEvents([...first, ...second.slice(1)])).toMatchObject({ ok: false, index: 4 });
    expect(judgeSiteEvents([at(first, 0), { ...at(first, 1), at: 1 }])).toMatchObject({ ok: false, index: 1 });
    expect(judgeSiteEvents([at(first, 0), { ...at(first, 1), site: 'osl-02' }])).toMatchObject({ ok: false, index: 1 });
  });
});
