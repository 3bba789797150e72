/**
 * Tells at most 500 sites which files to fetch ahead, until their rollout begins to switch. A site that is dark is told when
 * it comes back within that time. It returns nothing: who has the files, the sites report.
 */
import { log } from '@temporalio/workflow';
import type { IssuedPrefetch } from '../activities/contract.js';
import type { PrefetchInput } from '../policies/model/prefetch.js';
import { patient, prefetchAtSite } from './proxies.js';

/** As many wishes as are signed and scheduled in one workflow task. */
const PAGE = 50;

export async function prefetch(input: PrefetchInput): Promise<void> {
  const told: Promise<void>[] = [];
  for (let from = 0; from < input.sites.length; from += PAGE) {
    const issued = await patient.issuePrefetches({ ...input, sites: [] }, input.sites.slice(from, from + PAGE));
    told.push(...issued.map((one) => tell(input, one)));
  }
  await Promise.all(told);
}

async function tell({ release, until }: PrefetchInput, { site, queue, page }: IssuedPrefetch): Promise<void> {
  const left = until - Date.now();
  if (left <= 0) return;
  const words = `prefetch ${release.stream}@${release.version} at ${site}`;
  try {
    await prefetchAtSite(queue, left, words).converge(page);
  } catch (error) {
    // The time is over, the rollout was stopped, or an older agent knows nothing of this.
    log.info('a site was not told to fetch ahead', { site, error: String(error) });
  }
}
