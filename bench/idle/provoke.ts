/** A report on demand: a link that was lost for longer than an answer may take is followed by one, and by nothing else. */
import { setTimeout as sleep } from 'node:timers/promises';
import { LINK_TIMERS } from '../../policies/model/link.js';
import type { IdleAgent } from './agent.js';

export interface Provoked {
  bytes: number;
  at: number;
  /** Ms since the report before; NaN without one. */
  sinceLast: number;
}

const WITHIN_MS = 60_000;
const SETTLED_MS = 3_000;

export async function provokeReport({ link, relays, meter }: IdleAgent): Promise<Provoked> {
  const { contactEvery, echoWithin } = LINK_TIMERS[link];
  const reports = () => meter.spent.filter(({ kind }) => kind === 'report');
  relays.temporal.cut();
  await sleep(contactEvery + echoWithin + 1_000);
  // What passed before the cut was of an earlier one.
  const before = reports();
  relays.temporal.restore();
  const until = Date.now() + WITHIN_MS;
  while (reports().length === before.length && Date.now() < until) await sleep(200);
  await sleep(SETTLED_MS);
  const fresh = reports().slice(before.length);
  const [first] = fresh;
  if (!first) throw new Error(`expected a report within ${WITHIN_MS} ms of the link's return`);
  const bytes = fresh.reduce((sum, one) => sum + one.bytes, 0);
  return { bytes, at: first.at, sinceLast: first.at - (before.at(-1)?.at ?? NaN) };
}
