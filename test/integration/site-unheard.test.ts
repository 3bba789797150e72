/** A result that comes when its shard has just ended, against a real server: who hears of it, and how soon. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Settled } from '../../policies/model/command.js';
import { arrivalsId } from '../../policies/model/inbox.js';
import { LINK_TIMERS } from '../../policies/model/link.js';
import type { SiteDoor } from '../../policies/model/site-door.js';
import { openLog } from '../../worker/log.js';
import { runSiteLink } from '../../worker/site-link.js';
import { until } from './fault-stage.js';
import { doorOf, MeasuredStage, pageOf } from './measured-stage.js';

const log = openLog('test');
log.level = 'silent';
let stage: MeasuredStage;
let stop: () => Promise<void> = async () => undefined;

beforeAll(async () => {
  stage = await MeasuredStage.open();
}, 120_000);
afterEach(() => stop());
afterAll(() => stage.close());

/** A site that has reported once; `answer` ends its command, with an event that the result carries. */
async function linked(site: string) {
  const seen: string[] = [];
  const journal: { sequence: number }[] = [];
  let answer: () => void = () => undefined;
  const answered = new Promise<void>((resolve) => (answer = resolve));
  const observing = doorOf(seen, async (commandId): Promise<Settled> => {
    await answered;
    journal.push({ sequence: 1 });
    return { kind: 'result', commandId } as Settled;
  });
  const unacknowledged = (_: number, after = 0) => journal.filter(({ sequence }) => sequence > after);
  const unasked = { unacknowledged, report: async () => ({ site }) };
  const door = { ...observing, ...unasked } as unknown as SiteDoor;
  const end = new AbortController();
  const settings = { connection: { address: stage.server.address }, namespace: 'default' };
  const options = { site, queue: `site-${site}`, door, streams: 1, timers: LINK_TIMERS.fibre, log };
  const running = runSiteLink({ ...options, readTemporal: () => settings }, end.signal);
  stop = async () => {
    end.abort();
    await running;
  };
  const inbox = stage.client.workflow.getHandle(`inbox/${site}`);
  /** What the site has told unasked, after what it said first: the sequences of each delivery. */
  const told = async () => {
    const { events } = await inbox.fetchHistory().catch(() => ({ events: [] }));
    return (events ?? []).flatMap(({ workflowExecutionSignaledEventAttributes: signal }) => {
      if (!signal) return [];
      const body = Buffer.from(signal.input?.payloads?.[0]?.data ?? []).toString('utf8');
      const delivery = JSON.parse(body) as { events: { sequence: number }[] };
      return [delivery.events.map(({ sequence }) => sequence)];
    });
  };
  const arrived = () => stage.client.workflow.getHandle(arrivalsId(site)).describe();
  await until(
    () =>
      arrived().then(
        () => true,
        () => false,
      ),
    'the site has reported',
  );
  const shard = await stage.start('brought', [options.queue, pageOf(`converge ${site}`)]);
  await until(() => seen.length === 1, 'the site has its command');
  return { shard, answer, told };
}

describe('a result of a site', () => {
  it('[B36] is told unasked soon where its shard was terminated before it', async () => {
    const { shard, answer, told } = await linked('unheard');
    await shard.terminate('with its rollout');
    answer();
    await until(async () => (await told()).length === 1, 'the site tells what nobody heard', 30_000);
    expect(await told()).toEqual([[1]]);
  });

  it('is told once where its shard has heard it', async () => {
    const { shard, answer, told } = await linked('heard');
    answer();
    expect(await shard.result()).toMatchObject([{ kind: 'result' }]);
    // Longer than until it is asked.
    await sleep(18_000);
    expect(await told()).toEqual([]);
  });
});
