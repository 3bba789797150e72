/** Running the floor over sites: the same shards and window as a rollout's, in bare workflows. */
import type { Client } from '@temporalio/client';
import type { Page } from '../../policies/model/command.js';
import type { ReleaseRef } from '../../policies/model/release.js';
import { planShards } from '../../policies/rollout/shards.js';
import { signCommand } from '../../policies/signing/dsse.js';
import { FLOOR_QUEUE } from './floor.js';
import type { FloorShard } from './floor-workflow.js';
import { countHistories, readHistory, type Counted } from './histories.js';
import { commandFor, type Acked, type SweepProject } from './project.js';

/** With `pages` the agents carry these out, and nothing else differs. Returns how to wait for the end. */
export async function startFloor(
  client: Client,
  { sites, window }: { sites: string[]; window: number },
  pages?: Map<string, Page>,
): Promise<() => Promise<Counted>> {
  const queues = sites.map((site) => ({ queue: `site-${site}`, ...pageOf(site, pages) }));
  const handles = planShards(queues, window).shards.map((cut, index) => {
    const workflowId = `floor-${Date.now()}-${index}`;
    const shard: FloorShard = { sites: cut.sites, window: cut.concurrency };
    return client.workflow.start('floorShard', { workflowId, taskQueue: FLOOR_QUEUE, args: [shard] });
  });
  const started = await Promise.all(handles);
  return async () => {
    await Promise.all(started.map((handle) => handle.result()));
    const histories = await Promise.all(started.map(({ workflowId }) => readHistory(client, workflowId)));
    const activity = pages ? 'converge' : 'noop';
    return countHistories(histories, activity, activity);
  };
}

function pageOf(site: string, pages: Map<string, Page> | undefined): { page?: Page } {
  const page = pages?.get(site);
  return page ? { page } : {};
}

/** One page a site, with a command as the centre would issue it. */
export function signPages(
  { privateKeyPem }: Pick<SweepProject, 'privateKeyPem'>,
  of: { sites: string[]; ref: ReleaseRef; generation: number; tries: number; acked?: Map<string, Acked> },
): Map<string, Page> {
  const { sites, acked, ...what } = of;
  const pages = sites.map((site): [string, Page] => {
    const command = commandFor({ site, ...what, acked: acked?.get(site) });
    return [site, { commands: [{ site, commandId: command.id, envelope: signCommand(command, privateKeyPem) }] }];
  });
  return new Map(pages);
}
