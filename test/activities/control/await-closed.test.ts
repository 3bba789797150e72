import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { expect, it } from 'vitest';
import { awaitClosed } from '../../../activities/control/temporal-facts.js';
import { inActivity } from '../in-activity.js';

/** One look after the other: the run that is open, or none. */
function looks(...runs: (string | undefined)[]): Client {
  const describe = async () => {
    const runId = runs.length > 1 ? runs.shift() : runs[0];
    if (runId === undefined) throw new WorkflowNotFoundError('none', 'w', undefined);
    return { runId, status: { name: 'RUNNING' } };
  };
  return { workflow: { getHandle: () => ({ describe }) } } as unknown as Client;
}

it.each([
  ['closes', true, looks('a', undefined), 60_000],
  ['is closed already', true, looks(undefined), 60_000],
  ['is followed by another run, which has not heard of a cancel', false, looks('a', 'b'), 60_000],
  ['takes its time', false, looks('a'), 100],
])('a workflow that %s: %s', async (_words, closed, client, within) => {
  expect(await inActivity({}, () => awaitClosed(client, 'w', within))).toBe(closed);
});
