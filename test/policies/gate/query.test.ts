import { describe, expect, it } from 'vitest';
import { fillQuery, promqlString, sitesPattern, type QueryFacts } from '../../../policies/gate/query.js';

const facts: QueryFacts = {
  ...{ sites: ['osl-01', 'osl.02'], release: `sha256:${'a'.repeat(64)}`, rollout: 'edge-proxy-2.4.0-3' },
  ...{ stage: 'regions.nordic', window: 90_000 },
};

describe('fillQuery', () => {
  it('fills every placeholder, wherever and however often it stands', () => {
    const query = 'a{site=~"$sites",d="$release",r="$rollout",s="$stage"}[$window] / b{site=~"$sites"}[$window]';
    expect(fillQuery(query, facts)).toBe(
      `a{site=~"osl-01|osl[.]02",d="${facts.release}",r="edge-proxy-2.4.0-3",s="regions.nordic"}[90s]` +
        ' / b{site=~"osl-01|osl[.]02"}[90s]',
    );
  });

  it('knows the form in braces, with a word right behind it', () => {
    expect(fillQuery('job="${stage}_x"[${window}]', facts)).toBe('job="regions.nordic_x"[90s]');
  });

  it('leaves other dollars alone: anchors, label_replace groups, longer words', () => {
    const query = 'a{code=~"5..$",x="$sitesOf"} label_replace(b, "c", "$1", "d", "(.*)") $unknown';
    expect(fillQuery(query, facts)).toBe(query);
  });

  it('reads what was filled in no second time', () => {
    expect(fillQuery('"$stage"', { ...facts, stage: '$sites $& $1' })).toBe('"$sites $& $1"');
  });
});

describe('sitesPattern', () => {
  it('[A31] matches the named sites and nothing else, as an anchored regular expression', () => {
    const anchored = new RegExp(`^(?:${sitesPattern(['osl.02', 'brg-1'])})$`);
    expect(['osl.02', 'brg-1'].every((site) => anchored.test(site))).toBe(true);
    expect(['oslx02', 'osl.0', 'brg-11', 'xbrg-1', ''].some((site) => anchored.test(site))).toBe(false);
  });

  it('[A31] matches no series at all without a site: an empty pattern would match those without the label', () => {
    const anchored = new RegExp(`^(?:${sitesPattern([])})$`);
    expect(['', 'osl-01'].some((site) => anchored.test(site))).toBe(false);
  });

  it('stays literal and inside its quotes whatever a name holds', () => {
    const names = ['a"b', 'a\\b', 'a^b', 'a]b', 'a[b', 'a|b', 'a(b)', 'a{1}', 'a+*?$', 'a\nb'];
    const pattern = sitesPattern(names);
    expect(pattern.replace(/\\./g, '')).not.toMatch(/["\n]/);
    const unquoted = pattern.replace(/\\n/g, '\n').replace(/\\(["\\])/g, '$1');
    const anchored = new RegExp(`^(?:${unquoted})$`);
    for (const name of names) expect(anchored.test(name), name).toBe(true);
    expect(anchored.test('a')).toBe(false);
  });

  it('escapes what would end a string in double quotes', () => {
    expect(promqlString('a"} or up{x="\\')).toBe('a\\"} or up{x=\\"\\\\');
  });
});
