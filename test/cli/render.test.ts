import { describe, expect, test } from 'vitest';
import { differences } from '../../cli/render/difference.js';
import { paintFor, visibleLength } from '../../cli/render/paint.js';
import { clip, screenFor } from '../../cli/render/screen.js';
import { bar, table } from '../../cli/render/table.js';
import { span } from '../../cli/render/times.js';

describe('colours', () => {
  test('only on a terminal, never with NO_COLOR or TERM=dumb', () => {
    expect(paintFor(true, {})('red', 'x')).toContain('\u001b[31m');
    expect(paintFor(false, {})('red', 'x')).toBe('x');
    expect(paintFor(true, { NO_COLOR: '1' })('red', 'x')).toBe('x');
    expect(paintFor(true, { NO_COLOR: '' })('red', 'x')).not.toBe('x');
    expect(paintFor(true, { TERM: 'dumb' })('red', 'x')).toBe('x');
  });

  test('do not shift columns', () => {
    const red = paintFor(true, {})('red', 'bad');
    expect(visibleLength(red)).toBe(3);
    const [, first = '', second = ''] = table(
      ['A', 'B'],
      [
        [red, '1'],
        ['fine', '2'],
      ],
    ).split('\n');
    expect(first.replace(/.*m/, '').length).toBeLessThan(first.length);
    expect(second.indexOf('2')).toBe(6);
    expect(visibleLength(first)).toBe(7);
  });
});

describe('bars', () => {
  test('never round something to nothing or an open end to done', () => {
    expect(bar(0, 100, 10)).toBe('[..........]');
    expect(bar(1, 1000, 10)).toBe('[#.........]');
    expect(bar(999, 1000, 10)).toBe('[#########.]');
    expect(bar(1000, 1000, 10)).toBe('[##########]');
    expect(bar(0, 0, 4)).toBe('[....]');
  });
});

describe('progress', () => {
  test('elsewhere than on a terminal: one line a change', () => {
    const lines: string[] = [];
    const screen = screenFor((text) => lines.push(text), false, 80);
    screen.show('04:10:07', 'RUNNING', 'block');
    screen.show('04:10:08', 'RUNNING', 'block');
    screen.show('04:10:09', 'GATING', 'block');
    expect(lines).toEqual(['04:10:07 RUNNING\n', '04:10:09 GATING\n']);
  });

  test('on a terminal: drawn over itself, by as many lines as were drawn', () => {
    const writes: string[] = [];
    const screen = screenFor((text) => writes.push(text), true, 20);
    screen.show('', '', 'one\ntwo\nthree\n');
    screen.show('', '', `${'x'.repeat(50)}\n`);
    expect(writes[0]).toBe('one\ntwo\nthree\n');
    expect(writes[1]).toBe(`\u001b[3A\u001b[J${'x'.repeat(18)}…\n`);
  });

  test('a cut line leaks no colour', () => {
    expect(clip(paintFor(true, {})('red', 'abcdef'), 4)).toBe('abc…');
  });
});

test('spans read in one unit', () => {
  expect([0, -5, 59_000, 90_000, 130_000, 7_200_000, 172_800_000].map(span)).toEqual([
    '0s',
    '0s',
    '59s',
    '90s',
    '2m',
    '2h',
    '2d',
  ]);
});

test('a difference names the place; a moved item of a list is no difference', () => {
  const before = {
    owner: 'a',
    stages: [
      { name: 'one', soak: '5m' },
      { name: 'two', soak: '5m' },
    ],
  };
  const after = {
    stages: [
      { name: 'two', soak: '9m' },
      { name: 'one', soak: '5m' },
    ],
    gates: { health: 1 },
  };
  expect(differences(before, after)).toEqual(['- owner: "a"', 'stages[two].soak: "5m" → "9m"', '+ gates.health: 1']);
  expect(differences(before, before)).toEqual([]);
});
