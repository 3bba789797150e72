/** `--record DIR`: keeps an act's histories and evidence, for the replay tests and the golden transcripts. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from '@temporalio/client';
import { keepHistory } from '../../infra/temporal/history.js';
import { exportEvidence } from '../../records/evidence/document.js';
import type { Registry } from '../../records/registry/registry.js';
import type { ActRecord } from './act.js';
import type { World } from './world.js';
import { transcriptOf } from '../../policies/rollout/transcript.js';

interface Recording {
  directory: string;
  client: Client;
  registry: Registry;
}

/** Acts in their order, as `act-1` and so on, and the inbox of one site that reported unasked. */
export async function recordActs(world: World, directory: string, acts: ActRecord[]): Promise<void> {
  const recording = { directory, client: world.temporal, registry: world.registry };
  for (const [index, { status }] of acts.entries()) {
    await recordAct(recording, `act-${index + 1}`, status.workflowId, status.firstRunId);
  }
  await recordInbox(recording, `act-${acts.length}`);
}

/** Writes `replay/histories/<act>.<type>.<n>.json` and `golden/<act>.{evidence.json,txt}` below the directory. */
async function recordAct(recording: Recording, act: string, workflowId: string, firstRunId: string): Promise<void> {
  const { client, registry, directory } = recording;
  const rollout = await client.workflow.getHandle(workflowId, firstRunId).fetchHistory();
  keepHistory(histories(directory), `${act}.rollout`, workflowId, rollout);
  const children = (rollout.events ?? []).flatMap((event) => {
    const child = event.childWorkflowExecutionStartedEventAttributes;
    return child?.workflowType?.name === 'shard' ? [child.workflowExecution] : [];
  });
  for (const [index, child] of children.entries()) {
    const id = child?.workflowId ?? '';
    const history = await client.workflow.getHandle(id, child?.runId ?? undefined).fetchHistory();
    keepHistory(
      histories(directory),
      `${act}.shard.${id.includes('/revert/') ? 'revert.' : ''}${index + 1}`,
      id,
      history,
    );
  }
  const evidence = await exportEvidence(registry, firstRunId);
  mkdirSync(join(directory, 'golden'), { recursive: true });
  writeFileSync(join(directory, 'golden', `${act}.evidence.json`), `${JSON.stringify(evidence, null, 1)}\n`);
  writeFileSync(join(directory, 'golden', `${act}.txt`), `${transcriptOf(evidence.entries).join('\n')}\n`);
}

async function recordInbox({ client, directory }: Recording, act: string): Promise<void> {
  const closed = client.workflow.list({ query: `WorkflowType = 'inbox' AND ExecutionStatus = 'Completed'` });
  for await (const { workflowId, runId } of closed) {
    const history = await client.workflow.getHandle(workflowId, runId).fetchHistory();
    return keepHistory(histories(directory), `${act}.inbox.1`, workflowId, history);
  }
}

const histories = (directory: string) => join(directory, 'replay', 'histories');
