import { describe, expect, it } from 'vitest';
import { linkSiteEvent } from '../../../policies/signing/chain.js';
import { beginningOf, endOf } from '../../../policies/site/cut-text.js';

describe('text that is cut for the journal', () => {
  it('is whole where it is short enough, and otherwise no longer than allowed', () => {
    expect([beginningOf('abc', 3), endOf('abc', 3), beginningOf('', 3), endOf('', 3)]).toEqual(['abc', 'abc', '', '']);
    expect([beginningOf('abcd', 3), endOf('abcd', 3)]).toEqual(['abc', 'bcd']);
  });

  it('has no half of a character, which no event can carry', () => {
    expect([beginningOf('a😀😀', 4), beginningOf('a😀😀', 3)]).toEqual(['a😀', 'a😀']);
    expect([endOf('😀😀a', 4), endOf('😀😀a', 3)]).toEqual(['😀a', '😀a']);
    const event = { site: 'osl-01', epoch: 1, at: 1, kind: 'health' as const };
    expect(() => linkSiteEvent({ ...event, detail: { words: 'a😀'.slice(0, 2) } })).toThrow();
    expect(linkSiteEvent({ ...event, detail: { words: beginningOf('a😀', 2) } }).sequence).toBe(1);
  });
});
