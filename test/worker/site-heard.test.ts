/** Whether a result was heard: asked at the next contact, in place of the echo. */
import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { expect, test, vi } from 'vitest';
import { LINK_TIMERS } from '../../policies/model/link.js';
import type { SiteDoor } from '../../policies/model/site-door.js';
import { openLog } from '../../worker/log.js';
import { Due, keepDelivering } from '../../worker/site-delivery.js';

const log = openLog('test');
log.level = 'silent';
const door = {
  onEvent: () => () => undefined,
  unacknowledged: () => [],
  report: async () => ({ site: 'osl-01', epoch: 1 }),
  contacted: () => undefined,
} as unknown as SiteDoor;

/** What a site with one result asks and tells over a connection, until `enough` of it. */
async function afterResult(shard: () => Promise<string>, enough: number) {
  const asked: string[] = [];
  const failures: string[] = [];
  const client = {
    workflow: {
      signalWithStart: async () => void asked.push('told'),
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
  const due = new Due();
  const end = new AbortController();
  const timers = { ...LINK_TIMERS.fibre, contactEvery: 200, gather: 1 };
  const onEcho = (failure?: string) => void (failure !== undefined && failures.push(failure));
  const running = keepDelivering(
    { site: 'osl-01', door, client, log, timers, namespaceId: 'one', due, onEcho },
    end.signal,
  );
  await vi.waitFor(() => expect(asked).toEqual(['told']));
  due.answers({ workflowId: 'shard', runId: 'run-1' });
  await vi.waitFor(() => expect(asked.length).toBeGreaterThanOrEqual(enough), { timeout: 5_000, interval: 5 });
  end.abort();
  await running;
  return { asked: asked.slice(0, enough), failures };
}

test.each(['COMPLETED', 'RUNNING', 'PAUSED', 'CONTINUED_AS_NEW'])(
  'a shard that is %s has heard it: asked once, instead of an echo, and nothing is told',
  async (status) => {
    const { asked } = await afterResult(async () => status, 3);
    expect(asked).toEqual(['told', 'shard run-1', 'echo']);
  },
);

test.each(['TERMINATED', 'CANCELLED', 'FAILED', 'TIMED_OUT'])(
  'a shard that is %s has not: it is told unasked',
  async (status) => {
    const { asked, failures } = await afterResult(async () => status, 4);
    expect(asked).toEqual(['told', 'shard run-1', 'told', 'echo']);
    expect(failures).toEqual([]);
  },
);

test('nor has one that nobody knows', async () => {
  const gone = async () => {
    throw new WorkflowNotFoundError('not found', 'shard', 'run-1');
  };
  const { asked, failures } = await afterResult(gone, 4);
  expect(asked).toEqual(['told', 'shard run-1', 'told', 'echo']);
  expect(failures).toEqual([]);
});

test('an answer that does not come is a failure of the link, and it is told once there is one', async () => {
  const away = async () => {
    throw new Error('14 UNAVAILABLE: no route');
  };
  const { asked, failures } = await afterResult(away, 3);
  expect(asked).toEqual(['told', 'shard run-1', 'told']);
  expect(failures).toEqual([expect.stringContaining('no route')]);
});
