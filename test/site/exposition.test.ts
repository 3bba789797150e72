import { describe, expect, it } from 'vitest';
import { parseSelector } from '../../policies/model/series.js';
import { parseExposition, selectSeries } from '../../site/checks/exposition.js';

const values = (text: string, selector: string) => {
  const meant = parseSelector(selector);
  if (!meant) throw new Error(`no selector: ${selector}`);
  return [...selectSeries(parseExposition(text), meant).values()];
};

describe('the text that an exporter shows', () => {
  it.each([
    ['a 1', 'a', 1],
    ['a{} 1.5e3 1700000000000', 'a', 1500],
    ['a{b="c",} -.5', 'a', -0.5],
    ['  a { b = "c" , d = "e" } 2  ', 'a{d="e"}', 2],
    ['# HELP a b\n# TYPE a counter\n\na 3\r\n# EOF', 'a', 3],
    ['a NaN', 'a', NaN],
    ['a +Inf', 'a', Infinity],
    ['a -Inf', 'a', -Infinity],
    ['a{b="x\\\\y\\"z\\n"} 4', 'a{b="x\\\\y\\"z\\n"}', 4],
    ['a{b="}, {"} 5\na{b=""} 6', 'a{b="}, {"}', 5],
    ['a{b="1"} 1\na{b="2"} 2', 'a{b!="1"}', 2],
    ['a{c="1"} 7', 'a{b=""}', 7],
    ['ab 1\na 2', 'a', 2],
  ])('%j has %s = %d', (text, selector, value) => {
    expect(values(text, selector)).toEqual([value]);
  });

  it.each([
    'a',
    'a x',
    'a 0x',
    'a 1 x',
    '{b="c"} 1',
    'a{b=c} 1',
    'a{b="c" 1',
    'a{b="c} 1',
    'a{b="c"}{d="e"} 1',
    'a{b="1",b="2"} 1',
    'a1_ 1 2 3',
    '<html>',
  ])('refuses the page whole for %j, naming the line', (line) => {
    expect(() => parseExposition(`ok 1\n${line}\n`)).toThrow(/line 2/);
  });

  it('refuses a series that is there twice, however its labels are ordered', () => {
    expect(() => parseExposition('a{b="1",c="2"} 1\na{c="2",b="1"} 1')).toThrow(/line 2 repeats/);
    expect(parseExposition('a{b="1"} 1\na{b="2"} 1')).toHaveLength(2);
  });

  it.each(['', '1a', 'a{', 'a{b}', 'a{b=c}', 'a{b=~"c"}', 'a{b!~"c"}', 'a{b="c"}x', 'a b'])(
    '%j selects nothing',
    (text) => {
      expect(parseSelector(text)).toBeUndefined();
    },
  );
});
