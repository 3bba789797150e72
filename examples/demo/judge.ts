/** Whether the acts ended as they must, and what differs where they did not. */
import type { ActRecord } from './act.js';
import type { OfflineRevert } from './cut.js';

export interface ActThree {
  record: ActRecord;
  offline: OfflineRevert;
  /** Sites that undo the release themselves, the one with the cut link among them. */
  reverting: string[];
  /** The site whose agent is down. */
  down: string;
  /** Contents of each controller's memory afterwards, by site. */
  controllers: Record<string, string>;
  /** What every controller held before. */
  memory: string;
}

/** A promoted release is confirmed and served everywhere. Each difference in one sentence; none: as it must be. */
export function judgePromoted(record: ActRecord, version: string): string[] {
  return differences(record, 'promoted', [
    ...eachSite(
      record,
      () => 'confirmed',
      () => version,
    ),
    ...record.gate.flatMap(({ stage, verdict }) =>
      unless(verdict === 'pass', `gate of ${stage}: expected pass, got ${verdict}`),
    ),
    ...unless(record.gate.length > 0, 'expected the gate to be judged, it was not'),
  ]);
}

/** Caught by the gate at the canary: undone there, the rest never touched. */
export function judgeCaught(record: ActRecord, canary: string[], before: string): string[] {
  const outcome = (site: string): string => (canary.includes(site) ? 'reverted' : 'untouched');
  const [gate, ...more] = record.gate;
  return differences(record, 'reverted', [
    ...eachSite(record, outcome, () => before),
    ...unless(
      gate?.verdict === 'fail' && more.length === 0,
      'expected the gate to fail at the canary and nowhere else to be judged',
    ),
  ]);
}

export function judgeCutLink(act: ActThree, before: string): string[] {
  const { record, offline, reverting, down } = act;
  const outcome = (site: string): string => {
    if (site === down) return 'owed';
    return reverting.includes(site) ? 'reverted' : 'untouched';
  };
  const stage = record.status.stages[0];
  return differences(record, 'reverted', [
    ...eachSite(record, outcome, () => before),
    ...reverting.flatMap((id) => {
      const reason = record.sites[id]?.reason;
      return unless(reason === 'CHECK_FAILED', `${id}: expected reason CHECK_FAILED, got ${reason ?? 'none'}`);
    }),
    ...unless(offline.linkCut, `${offline.site}: expected its link to be cut while it reverted, bytes passed`),
    ...unless(
      stage?.failed === reverting.length,
      `expected ${reverting.length} sites counted as failed, each once, got ${stage?.failed ?? 'none'}`,
    ),
    ...Object.entries(act.controllers).flatMap(([id, memory]) =>
      unless(
        memory === act.memory,
        `${id}: expected its controller to hold what it held before, got ${JSON.stringify(memory)}`,
      ),
    ),
  ]);
}

function differences(record: ActRecord, outcome: string, found: string[]): string[] {
  const got = record.status.outcome ?? record.status.state;
  return [...unless(got === outcome, `expected ${outcome}, got ${got}`), ...found].map(
    (difference) => `${record.release}: ${difference}`,
  );
}

function eachSite(record: ActRecord, outcome: (site: string) => string, version: (site: string) => string): string[] {
  return Object.entries(record.sites).flatMap(([id, fact]) => [
    ...unless(fact.outcome === outcome(id), `${id}: expected ${outcome(id)}, got ${fact.outcome}`),
    ...unless(fact.release === version(id), `${id}: expected to report ${version(id)}, got ${fact.release}`),
    ...unless(
      record.served[id] === version(id),
      `${id}: expected nginx to serve ${version(id)}, got ${record.served[id] ?? ''}`,
    ),
  ]);
}

function unless(holds: boolean, difference: string): string[] {
  return holds ? [] : [difference];
}
