import { describe, expect, test } from 'vitest';
import { matches, parseSelector, readSelector, writeSelector } from '../../../policies/cohort/selector.js';
import { MistakeError } from '../../../policies/model/failure.js';
import { site } from './fleet-of.js';

const osl = site('osl-01', { region: 'nordic', cluster: 'oslo', assetType: 'substation', risk: 'low' });

describe('a selector', () => {
  test.each([
    [{}, true],
    [{ region: 'nordic' }, true],
    [{ region: ['baltic', 'nordic'] }, true],
    [{ region: 'nordic', risk: 'low' }, true],
    [{ region: 'nordic', risk: ['medium', 'high'] }, false],
    [{ link: 'cellular' }, true],
    [{ link: 'fibre' }, false],
    [{ id: 'osl-01' }, true],
    [{ id: 'osl' }, false],
    [{ cluster: 'oslo', assetType: 'substation' }, true],
  ])('[A30] %j matches osl-01: %s', (selector, expected) => {
    expect(matches(selector, osl)).toBe(expected);
  });

  test('a site without the value is never matched', () => {
    expect(matches({ region: ['nordic', ''] }, site('x'))).toBe(false);
    expect(matches({ region: 'undefined' }, site('x'))).toBe(false);
  });
});

describe('--only', () => {
  test('terms are joined by and, values by or', () => {
    const selector = parseSelector(['region=nordic,baltic', 'risk=low']);
    expect(selector).toEqual({ region: ['nordic', 'baltic'], risk: ['low'] });
    expect(writeSelector(selector)).toBe('region=nordic,baltic risk=low');
    expect(parseSelector([])).toEqual({});
  });

  test.each([
    ['regoin=nordic', /knows no key "regoin".*Did you mean region\?/],
    ['nordic', /knows no key "nordic"/],
    ['region', /has an empty value/],
    ['region=', /has an empty value/],
    ['region=a,,b', /has an empty value/],
    ['__proto__=a', /knows no key/],
    ['', /knows no key/],
  ])('%j is refused', (term, message) => {
    const parse = (): unknown => parseSelector([term]);
    expect(parse).toThrow(MistakeError);
    expect(parse).toThrow(message);
    expect(parse).toThrow(/id, region, cluster, assetType, link, risk/);
  });

  test('a key given twice is refused instead of guessed', () => {
    expect(() => parseSelector(['region=a', 'region=b'])).toThrow(/repeats "region"/);
  });
});

describe('the selector of a rollout’s input', () => {
  test('is taken as written', () => {
    expect(readSelector({ region: ['nordic'], risk: 'low' })).toEqual({ region: ['nordic'], risk: 'low' });
  });

  test.each([
    [{ regio: ['west'] }, 'did you mean region?'],
    ['west', '"west"'],
    [['s1'], '["s1"]'],
    [null, 'null'],
    [{ id: [] }, '{"id":[]}'],
    [{ id: 5 }, '5'],
  ])('%j is refused: else it would select every site', (input, hint) => {
    expect(() => readSelector(input)).toThrow(expect.objectContaining({ code: 'BAD_INPUT' }) as Error);
    expect(() => readSelector(input)).toThrow(new RegExp(hint.replaceAll(/[[\]{}?]/g, String.raw`\$&`), 'i'));
  });
});
