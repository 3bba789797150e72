/** `--record DIR`: keeps an act's histories and evidence, for the replay tests and the golden transcripts. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from '@temporalio/client';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { exportEvidence } from '../../records/evidence/document.js';
import type { Registry } from '../../records/registry/registry.js';
import { transcriptOf } from '../../policies/rollout/transcript.js';

type Handle = ReturnType<Client['workflow']['getHandle']>;
type History = Awaited<ReturnType<Handle['fetchHistory']>>;

export interface Recording {
  directory: string;
  client: Client;
  registry: Registry;
}

/** Writes `replay/histories/<act>.<type>.<n>.json` and `golden/<act>.{evidence.json,txt}` below the directory. */
export async function recordAct(
  recording: Recording,
  act: string,
  workflowId: string,
  firstRunId: string,
): Promise<void> {
  const { client, registry, directory } = recording;
  const rollout = await client.workflow.getHandle(workflowId, firstRunId).fetchHistory();
  writeHistory(directory, `${act}.rollout`, workflowId, rollout);
  const children = (rollout.events ?? []).flatMap((event) => {
    const child = event.childWorkflowExecutionStartedEventAttributes;
    return child?.workflowType?.name === 'shard' ? [child.workflowExecution] : [];
  });
  for (const [index, child] of children.entries()) {
    const id = child?.workflowId ?? '';
    const history = await client.workflow.getHandle(id, child?.runId ?? undefined).fetchHistory();
    writeHistory(directory, `${act}.shard.${id.includes('/revert/') ? 'revert.' : ''}${index + 1}`, id, history);
  }
  const evidence = await exportEvidence(registry, firstRunId);
  mkdirSync(join(directory, 'golden'), { recursive: true });
  writeFileSync(join(directory, 'golden', `${act}.evidence.json`), `${JSON.stringify(evidence, null, 1)}\n`);
  writeFileSync(join(directory, 'golden', `${act}.txt`), `${transcriptOf(evidence.entries).join('\n')}\n`);
}

/** The inbox of one site, as far as it has closed. */
export async function recordInbox({ client, directory }: Recording, act: string, site: string): Promise<void> {
  const workflowId = `inbox/${site}`;
  for await (const { runId } of client.workflow.list({
    query: `WorkflowId = '${workflowId}' AND ExecutionStatus = 'Completed'`,
  })) {
    const history = await client.workflow.getHandle(workflowId, runId).fetchHistory();
    return writeHistory(directory, `${act}.inbox.1`, workflowId, history);
  }
}

function writeHistory(directory: string, name: string, workflowId: string, history: History): void {
  const histories = join(directory, 'replay', 'histories');
  mkdirSync(histories, { recursive: true });
  const recorded = { workflowId, history: JSON.parse(JSON.stringify(historyToJSON(history))) as unknown };
  writeFileSync(join(histories, `${name}.json`), `${JSON.stringify(recorded)}\n`);
}
