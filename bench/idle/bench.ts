/**
 * What a site costs while nothing happens: the memory of a real agent, run by its built command with one confirmed release
 * whose check goes on, and the bytes of its link by what they are, for an hour. TCP payload without TLS, both directions.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { LINK_TIMERS, type LinkName } from '../../policies/model/link.js';
import type { BenchOptions } from '../options.js';
import { median } from '../sweep/figures.js';
import type { IdleAgent } from './agent.js';
import { bytesPerHour, rareOf, type Span } from './figures.js';
import type { Spent } from './frames.js';
import { provokeReport } from './provoke.js';
import { openStand } from './stand.js';

export const describe = 'idle: memory of an idle agent, and bytes of its idle link in an hour, by class of link';

/** Microwave has the timers of cellular; courier those of satellite, but rarer. */
const LINKS = ['fibre', 'cellular', 'satellite'] as const satisfies LinkName[];
const MINUTES = 2.5;
/** The first question for keys comes within a minute of the start; by then memory has settled as well. */
const SETTLE_MS = 61_000;
const MEMORY_EVERY_MS = 5_000;
const TARGET = { bytesPerHour: 12_000 };
const MB = 2 ** 20;

export async function run({ minutes = MINUTES, tell }: BenchOptions): Promise<Record<string, unknown>> {
  const stand = await openStand(LINKS, tell);
  try {
    await sleep(SETTLE_MS);
    const keysetBytes = median(stand.agents.map(({ relays }) => relays.depot.bytesBetween(0, Date.now())));
    await stand.converge();
    await sleep(5_000);
    const [agent] = stand.agents;
    if (!agent) throw new Error('expected an agent');
    // What the rollout has left to be told goes first.
    await provokeReport(agent);
    const first = await provokeReport(agent);
    tell(`idle from here on; measured for ${minutes} minutes`);
    const { span, memory } = await idle(stand.agents, minutes * 60_000);
    const second = await provokeReport(agent);
    const { sampleEvery } = LINK_TIMERS[agent.link];
    const reports = [
      { bytes: first.bytes, windows: first.sinceLast / sampleEvery },
      { bytes: second.bytes, windows: (second.at - first.at) / sampleEvery },
    ];
    const contacts = agent.meter.spent.filter(
      (one) => one.kind === 'contact' && one.at >= span.from && one.at < span.to,
    );
    const rare = rareOf(bytesOf(contacts), reports, keysetBytes);
    const hour = Object.fromEntries(
      stand.agents.map(({ link, meter }) => [link, bytesPerHour(link, meter.spent, span, rare)]),
    );
    return { minutes, ...memory, bytesPerHour: hour, targetBytesPerHour: TARGET.bytesPerHour, each: rare };
  } finally {
    await stand.close();
  }
}

async function idle(agents: IdleAgent[], ms: number): Promise<{ span: Span; memory: Record<string, number> }> {
  const from = Date.now();
  const seen: Awaited<ReturnType<IdleAgent['memory']>>[] = [];
  while (Date.now() < from + ms) {
    await sleep(Math.min(MEMORY_EVERY_MS, from + ms - Date.now()));
    seen.push(...(await Promise.all(agents.map((agent) => agent.memory()))));
  }
  const inMb = (pick: (one: (typeof seen)[number]) => number) => Math.round((10 * median(seen.map(pick))) / MB) / 10;
  const memory = { rssMb: inMb((one) => one.rss), heapUsedMb: inMb((one) => one.heapUsed) };
  const peakRssMb = Math.round((10 * Math.max(...seen.map((one) => one.peakRss))) / MB) / 10;
  return {
    span: { from, to: Date.now() },
    memory: { ...memory, heapTotalMb: inMb((one) => one.heapTotal), peakRssMb },
  };
}

function bytesOf(spent: Spent[]): number[] {
  return spent.map(({ bytes }) => bytes);
}
