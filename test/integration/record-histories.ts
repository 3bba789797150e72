/** `FOOTHOLD_RECORD=DIR`: a stage that closes keeps the histories of all that ran on it, for the replay tests to be chosen from. */
import type { Client } from '@temporalio/client';
import { keepHistory } from '../../infra/temporal/history.js';

export async function recordHistories(client: Client): Promise<void> {
  const directory = process.env['FOOTHOLD_RECORD'];
  if (directory === undefined) return;
  const numbers = new Map<string, number>();
  for await (const { type, workflowId, runId } of client.workflow.list()) {
    const name = `${workflowId.replaceAll('/', '_')}.${type}`;
    const number = (numbers.get(name) ?? 0) + 1;
    numbers.set(name, number);
    const history = await client.workflow.getHandle(workflowId, runId).fetchHistory();
    keepHistory(directory, `${name}.${number}`, workflowId, history);
  }
}
