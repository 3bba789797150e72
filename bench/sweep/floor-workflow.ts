/** The floor: the least that Temporal can be asked for the same work, one activity a site from a sliding window. */
import { defineSignal, proxyActivities, setHandler, sleep } from '@temporalio/workflow';
import type { SiteActivities } from '../../activities/contract.js';
import type { Page } from '../../policies/model/command.js';

export interface FloorShard {
  /** With a page the site's agent carries the command out; without one the activity does nothing. */
  sites: { queue: string; page?: Page }[];
  window: number;
}

type FloorActivities = Pick<SiteActivities, 'converge'> & { noop(): Promise<void> };

export async function floorShard({ sites, window }: FloorShard): Promise<void> {
  const waiting = [...sites];
  const slot = async () => {
    for (let site = waiting.shift(); site !== undefined; site = waiting.shift()) {
      const options = { taskQueue: site.queue, startToCloseTimeout: '10m', allowEagerDispatch: false } as const;
      const activities = proxyActivities<FloorActivities>(options);
      await (site.page ? activities.converge(site.page) : activities.noop());
    }
  };
  await Promise.all(Array.from({ length: window }, slot));
}

/** The least that reports cost which many sites share a workflow for: it takes nothing in, and ends when none has come for a second. */
export async function emptyArrivals(): Promise<void> {
  let came = 0;
  setHandler(defineSignal('deliver'), () => void (came += 1));
  for (let before = -1; before !== came; await sleep('1s')) before = came;
}
