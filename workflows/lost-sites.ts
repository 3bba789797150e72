/** Sites of a shard that was lost: nobody is left to say how they stand. */
import { patched } from '@temporalio/workflow';
import { commandIdOf } from '../policies/model/command-id.js';
import type { ShardInput } from '../policies/model/outline.js';
import { isDisposition } from '../policies/rollout/outcomes.js';
import { patienceFor } from '../policies/rollout/patience.js';
import { takeOutcome } from './rollout-news.js';
import type { RolloutRun } from './rollout-run.js';

/**
 * A shard that was terminated from outside, or broke: nobody knows which of its sites were commanded. All count as
 * owed and as changing, and an undo goes to each of them. What they report comes by the inbox. The registry is told as
 * well: nobody else does, and a site that owes without a debt is forgotten once the rollout is sealed.
 */
export function loseSites(run: RolloutRun, input: ShardInput): void {
  const { stage, wave } = input;
  const reason = { code: 'NO_RESULT' as const, detail: 'its shard was lost' };
  for (const site of input.sites) {
    const { id } = site;
    run.commanded.set(id, { site: id, switchBy: Date.now() + patienceFor(input, site) });
    const number = run.tries.get(id);
    takeOutcome(run, {
      site: id,
      outcome: 'owed',
      stage,
      wave,
      reason,
      ...(number === undefined ? {} : { try: number }),
    });
  }
  if (patched('lost-sites-are-recorded')) noteLost(run, input);
}

function noteLost(run: RolloutRun, { sites, stage, wave, release }: ShardInput): void {
  const { firstRunId } = run.identity;
  const rows = sites.flatMap(({ id: site }) => {
    const outcome = run.outcomes.get(site);
    if (!outcome || !isDisposition(outcome)) return [];
    const number = run.tries.get(site) ?? 1;
    return [
      {
        site,
        commandId: commandIdOf({ firstRunId, site, stream: release.stream, verb: 'converge', try: number }),
        outcome,
      },
    ];
  });
  if (rows.length > 0) run.lost.push({ stage, wave, rows });
  run.dirty = true;
}
