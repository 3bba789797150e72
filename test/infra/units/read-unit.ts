/** A unit file of infra/units as text and settings; of one that is there twice the last counts. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const UNITS = join(import.meta.dirname, '../../../infra/units');

export function readUnit(name: string): { text: string; settings: Record<string, string> } {
  const text = readFileSync(join(UNITS, name), 'utf8');
  const lines = text.split('\n').flatMap((line) => {
    const [, key = '', value = ''] = /^(\w+)=(.*)$/.exec(line) ?? [];
    return key === '' ? [] : [[key, value] as const];
  });
  return { text, settings: Object.fromEntries(lines) };
}

/** Bytes of `384M`. */
export function bytesOf(size = ''): number {
  const [, number = 'NaN', unit = ''] = /^(\d+)([KMG]?)$/.exec(size) ?? [];
  return Number(number) * 1_024 ** ' KMG'.indexOf(unit || ' ');
}
