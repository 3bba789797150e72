/** A report against what the site should run. */
import { describe, expect, it } from 'vitest';
import { judgeDrift } from '../../../policies/catch-up/drift.js';
import { desiredOf, reported } from './fleet-facts.js';

const desired = desiredOf('a', '2.0.0', 11);

describe('drift', () => {
  it('[A19] [A46] tells what is the same from what is owed, by digest', () => {
    expect(judgeDrift(reported('2.0.0', 11), desired, 11)).toBe('same');
    expect(judgeDrift(reported('1.0.0', 9), desired, 9)).toBe('owed');
    expect(judgeDrift(reported(undefined, 0), desired, 0)).toBe('owed');
    expect(judgeDrift(null, desired, 0)).toBe('owed');
    expect(judgeDrift(undefined, desired, 0)).toBe('unknown');
  });

  it('does not judge a site that is carrying something out, and never calls safe mode well', () => {
    for (const state of ['accepted', 'staged', 'switching', 'watching', 'reverting'] as const) {
      expect(judgeDrift(reported('2.0.0', 11, { state }), desired, 11)).toBe('pending');
    }
    expect(judgeDrift(reported('2.0.0', 11, { state: 'safe-mode' }), desired, 11)).toBe('owed');
  });

  it('[A46] takes a site that obeyed a command unknown to the registry for ahead, and brings it nothing', () => {
    expect(judgeDrift(reported('3.0.0', 13), desired, 11)).toBe('ahead');
    expect(judgeDrift(reported('3.0.0', 13), desired, 0)).toBe('ahead');
  });

  it('is not fooled by its own commands: a rollout of before, and the undo that came with it', () => {
    // 3.0.0 came with generation 13 and its undo with 14, both known: the site went back to 1.0.0 and is owed 2.0.0.
    expect(judgeDrift(reported('1.0.0', 14), desired, 13)).toBe('owed');
    // One above is the undo of the rollout that decided: it is issued with the registry down as well.
    expect(judgeDrift(reported('1.0.0', 12), desired, 11)).toBe('owed');
    expect(judgeDrift(reported('1.0.0', 15), desired, 13)).toBe('ahead');
  });

  it('brings a release to a site with nothing live, whatever generation it reports', () => {
    expect(judgeDrift(reported(undefined, 40), desired, 11)).toBe('owed');
  });
});
