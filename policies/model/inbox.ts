/** Where a site says what it says unasked (design §4), and how much of it there may be. */
import type { SiteEvent, SiteReport } from './report.js';
import type { OutboxPage } from './telemetry.js';

/** What a site says at once: a page of its journal, and of its outbox if it has anything there. */
export interface Delivery {
  report: SiteReport;
  events: SiteEvent[];
  outbox?: OutboxPage;
}

/** One of those that an inbox took: `nth` of its run. */
export interface TakenDelivery extends Delivery {
  nth: number;
}

export function inboxId(site: string): string {
  return `inbox/${site}`;
}

/** Few, so that thousands of sites that come back at once share tasks; more than one, so that no workflow has all their signals. */
const ARRIVALS = 2;

/**
 * Many sites share it. Only for what a site says first over a connection, and in so many bytes of JSON, because thousands of them may be
 * one history.
 */
export function arrivalsId(site: string): string {
  let sum = 0;
  for (const letter of site) sum = (sum * 31 + (letter.codePointAt(0) ?? 0)) % 1_000_003;
  return `arrivals/${sum % ARRIVALS}`;
}

export const ARRIVAL_BYTES = 8 * 1024;
