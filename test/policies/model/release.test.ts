import { describe, expect, it } from 'vitest';
import { MistakeError } from '../../../policies/model/failure.js';
import { parseReleaseData } from '../../../policies/model/release.js';

const FILLED = {
  apiVersion: 'foothold/v1',
  kind: 'Release',
  stream: 's',
  version: '1.0.0',
  driver: { type: 'directory', files: 'f', target: '/t' },
  checks: [{ name: 'a', http: 'http://h/' }],
};

function refusal(data: unknown): MistakeError {
  try {
    parseReleaseData(data);
  } catch (error) {
    if (error instanceof MistakeError) return error;
    throw error;
  }
  throw new Error('expected a refusal');
}

describe('[A26] the release in a manifest', () => {
  it('is taken if it is valid', () => {
    expect(parseReleaseData(FILLED).components).toHaveLength(1);
  });

  it.each([
    ['a newer field of the format', { ...FILLED, undo: 'none' }, '`undo`: `undo: none` is not available yet'],
    [
      'a metric that judges nothing',
      { ...FILLED, checks: [{ name: 'a', metric: 'http://h/', series: 'x' }] },
      '`checks[0]`: expected `below`, `above` or both',
    ],
    ['an unknown key', { ...FILLED, canary: true }, 'canary'],
    ['a broken rule', { ...FILLED, version: '1' }, '`version`: expected a semver version'],
    ['a driver that is not known', { ...FILLED, driver: { type: 'magic' } }, '`driver.type`'],
    ['something else', 'release', 'expected a valid release'],
    ['nothing', undefined, 'expected a valid release'],
  ])('is refused for %s, whoever published it', (_, data, message) => {
    const error = refusal(data);
    expect(error.code).toBe('RELEASE_INVALID');
    expect(error.message).toContain(message);
  });
});
