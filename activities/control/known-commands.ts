/** What the registry knows of a rollout that one of its runs does not: what it has commanded, how that ended, what it undoes. */
import { tryOf } from '../../policies/model/command-id.js';
import type { UndoScope } from '../../policies/model/rollout.js';
import type { Registry } from '../../records/registry/registry.js';
import type { KnownCommands } from '../contract.js';
import type { ControlDeps } from './deps.js';

const SITES_OF_A_PAGE = 1_000;

/** A run that was thrown away may have commanded sites that its successor knows nothing of. */
export async function knownCommands(
  { registry }: ControlDeps,
  firstRunId: string,
  after: string,
): Promise<KnownCommands> {
  const known = await registry.commanded(firstRunId);
  const converges = (await registry.siteRows(firstRunId)).filter((row) => row.verb === 'converge');
  const left = [...new Set([...known, ...converges].map(({ site }) => site))].filter((site) => site > after).sort();
  const page = new Set(left.slice(0, SITES_OF_A_PAGE));
  const last = left[SITES_OF_A_PAGE - 1];
  const isLast = last === undefined || left.length <= page.size;
  const commanded = known.filter(({ site }) => page.has(site));
  const rows = converges.filter(({ site }) => page.has(site));
  return {
    ...(isLast ? await begunUndos(registry, firstRunId) : { next: last }),
    commanded: commanded.map(({ site, switchBy, commandId }) => ({
      site,
      switchBy: switchBy ?? 0,
      try: tryOf(commandId),
    })),
    outcomes: rows.map(({ site, outcome, stage, wave, reason, cause, at, state, until, commandId }) => ({
      site,
      outcome,
      stage,
      wave,
      ...(reason && { reason }),
      ...(cause && { cause }),
      ...(at !== undefined && { at }),
      ...(state !== undefined && { state }),
      ...(until !== undefined && { until }),
      ...(tryOf(commandId) > 1 && { try: tryOf(commandId) }),
    })),
  };
}

async function begunUndos(registry: Registry, firstRunId: string): Promise<Pick<KnownCommands, 'undos' | 'reverting'>> {
  const undos = (await registry.evidence(firstRunId, 'undo')).map(({ data }) => data as unknown as UndoScope);
  return { undos, reverting: await registry.revertedStages(firstRunId) };
}
