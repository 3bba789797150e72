/** A freeze in one line. */
import { writeSelector } from '../../policies/cohort/selector.js';
import type { Freeze } from '../../policies/model/debt.js';
import { harmless } from './paint.js';
import { clock } from './times.js';

export function freezeLine({ id, only, until, by, reason }: Freeze, now: number, zone?: string): string {
  const where = only === undefined ? 'every site' : writeSelector(only);
  return `${id}  ${where} until ${clock(until, now, zone)}, by ${harmless(by)}: ${harmless(reason)}`;
}
