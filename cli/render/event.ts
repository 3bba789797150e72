/** A journaled event of a site in one line. */
import type { SiteEvent } from '../../policies/model/report.js';
import { reasonText } from './headline.js';
import { harmless } from './paint.js';
import { clock } from './times.js';

export function eventLine({ at, stream, kind, result }: SiteEvent, now: number): string {
  const why = result?.reason ? reasonText(result.reason) : '';
  return harmless([clock(at, now), stream ?? '', kind, why].filter((part) => part !== '').join(' '));
}
