/** Whether a result was heard: asked at the next contact, in place of the echo. */
import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { expect, test, vi } from 'vitest';
import { LINK_TIMERS } from '../../policies/model/link.js';
import type { SiteDoor } from '../../policies/model/site-door.js';
import { Due } from '../../worker/due.js';
import { openLog } from '../../worker/log.js';
import { keepDelivering } from '../../worker/site-delivery.js';

const log = openLog('test');
log.level = 'silent';
const door = {
  onEvent: () => () => undefined,
  unacknowledged: () => [],
  report: async () => ({ site: 'osl-01', epoch: 1 }),
  contacted: () => undefined,
} as unknown as SiteDoor;

interface Given {
  /** What is said of the shard. */
  shard: () => Promise<string>;
  contactEvery?: number;
  after?: { least: number; most: number };
  results?: number;
}

/** What a site asks and tells over a connection once its results have gone out, until `enough` of it. */
async function afterResults({ shard, results = 1, ...given }: Given, enough: number) {
  const asked: string[] = [];
  const failures: string[] = [];
  const client = {
    workflow: {
      signalWithStart: async (type: string) => void asked.push(type),
      getHandle: (workflowId: string, runId: string) => ({
        describe: async () => {
          asked.push(`${workflowId} ${runId}`);
          return { status: { name: await shard() } };
        },
      }),
    },
    workflowService: {
      describeNamespace: async () => {
        asked.push('echo');
        return { namespaceInfo: { id: 'one' } };
      },
    },
    options: { namespace: 'default' },
    withDeadline: async (_deadline: number, ask: () => Promise<unknown>) => ask(),
  } as unknown as Client;
  const due = new Due(given.after ?? { least: 0, most: 60_000 });
  const end = new AbortController();
  const timers = { ...LINK_TIMERS.fibre, contactEvery: given.contactEvery ?? 200, gather: 1 };
  const onEcho = (failure?: string) => void (failure !== undefined && failures.push(failure));
  const running = keepDelivering(
    { site: 'osl-01', door, client, log, timers, namespaceId: 'one', due, onEcho },
    end.signal,
  );
  await vi.waitFor(() => expect(asked[0]).toBe('arrivals'));
  const from = asked.length;
  for (let n = 1; n <= results; n += 1) due.answers({ workflowId: 'shard', runId: `run-${n}` });
  const since = () => asked.slice(from);
  await vi.waitFor(() => expect(since().length).toBeGreaterThanOrEqual(enough), { timeout: 5_000, interval: 5 });
  end.abort();
  await running;
  return { asked: since().slice(0, enough), failures };
}

test.each(['COMPLETED', 'RUNNING', 'PAUSED', 'CONTINUED_AS_NEW'])(
  'a shard that is %s has heard it: asked once, instead of an echo, and nothing is told',
  async (status) => {
    const { asked } = await afterResults({ shard: async () => status }, 2);
    expect(asked).toEqual(['shard run-1', 'echo']);
  },
);

test.each(['TERMINATED', 'CANCELLED', 'FAILED', 'TIMED_OUT'])(
  'a shard that is %s has not: it is told unasked',
  async (status) => {
    const { asked, failures } = await afterResults({ shard: async () => status }, 3);
    expect(asked).toEqual(['shard run-1', 'inbox', 'echo']);
    expect(failures).toEqual([]);
  },
);

const gone = async () => {
  throw new WorkflowNotFoundError('not found', 'shard', 'run-1');
};
const away = async () => {
  throw new Error('14 UNAVAILABLE: no route');
};

test('nor has one that nobody knows, and the link is no worse for it', async () => {
  const { asked, failures } = await afterResults({ shard: gone }, 3);
  expect(asked).toEqual(['shard run-1', 'inbox', 'echo']);
  expect(failures).toEqual([]);
});

test('a question without an answer is a failure of the link, as an echo without one, and it is told again', async () => {
  const { asked, failures } = await afterResults({ shard: away }, 2);
  expect(asked).toEqual(['shard run-1', 'inbox']);
  expect(failures).toEqual([expect.stringContaining('no route')]);
});

test('once it is all told, nobody else is asked', async () => {
  const { asked } = await afterResults({ shard: async () => 'TERMINATED', results: 3 }, 3);
  expect(asked).toEqual(['shard run-1', 'inbox', 'echo']);
});

test('not before the answer can have come: an echo is due first', async () => {
  const { asked } = await afterResults({ shard: async () => 'RUNNING', after: { least: 500, most: 60_000 } }, 3);
  expect(asked[0]).toBe('echo');
  expect(asked).toContain('shard run-1');
});

test('on a link that is to prove its contact once an hour it does not wait for that', async () => {
  const after = { least: 100, most: 300 };
  const { asked } = await afterResults({ shard: async () => 'RUNNING', contactEvery: 3_600_000, after }, 1);
  expect(asked).toEqual(['shard run-1']);
});
