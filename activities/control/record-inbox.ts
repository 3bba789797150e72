/** What a site reports unasked goes to registry and evidence; running rollouts are named, to be told of new results. */
import type { Result } from '../../policies/model/command.js';
import type { SiteEvent, SiteReport } from '../../policies/model/report.js';
import type { ControlDeps } from './deps.js';

export async function recordInbox(
  deps: ControlDeps,
  report: SiteReport,
  events: SiteEvent[],
): Promise<{ workflowId: string; results: Result[] }[]> {
  const { fresh } = await deps.registry.recordSiteEvents(report, events, deps.now());
  const byRollout = new Map<string, Result[]>();
  for (const { workflowId, running, event } of fresh) {
    if (!running || !event.result) continue;
    byRollout.set(workflowId, [...(byRollout.get(workflowId) ?? []), event.result]);
  }
  return [...byRollout].map(([workflowId, results]) => ({ workflowId, results }));
}
