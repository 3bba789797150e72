/** The end of the demo: a table for people, one document for programs. */
import type { Count } from '../../infra/dev/load/timeline.js';
import type { ActRecord } from './act.js';
import type { OfflineRevert } from './cut.js';
import { columns, type Transcript } from './transcript.js';

export interface DemoResult {
  addresses: { temporalUi: string; temporal: string; prometheus: string };
  acts: ActRecord[];
  offline: OfflineRevert;
  /** Empty if all acts ended as they must. */
  differences: string[];
}

/** What `--json` prints. */
export function documentOf({ acts, offline }: DemoResult): unknown {
  return {
    acts: acts.map((act) => ({
      release: act.release,
      outcome: act.status.outcome ?? act.status.state,
      sites: act.sites,
      gate: act.gate,
      eventsPerSite: eventsPerSite(act),
      eventsTotal: act.events.total,
    })),
    offlineRevert: offline,
  };
}

export function printSummary(transcript: Transcript, { acts, offline, differences }: DemoResult): void {
  transcript.title('Summary');
  transcript.block(columns([HEAD, ...acts.map((act, index) => row(transcript, act, index))]));
  const took = ((offline.restoredMs - offline.badSinceMs) / 1_000).toFixed(1);
  transcript.block(
    `\n  ${offline.site} was bad for ${took} s and undid the release itself; its link ${offline.linkCut ? 'passed 0 bytes' : 'was NOT cut'} meanwhile.`,
  );
  transcript.block(
    '  failed: answers other than 200; lost: requests without any answer, while switching + while undoing.',
  );
  if (differences.length === 0) {
    transcript.block(`\n  ${transcript.paint('good', 'All three acts ended as they must.')}`);
  } else {
    transcript.block(`\n  ${transcript.paint('bad', 'Not as it must be:')}`);
    for (const difference of differences) transcript.block(`  - ${difference}`);
  }
}

const HEAD = ['act', 'release', 'outcome', 'sites', 'requests', 'failed', 'lost', 'events/site', 'time'];

function row(transcript: Transcript, act: ActRecord, index: number): string[] {
  const { switching, undoing } = act.traffic;
  const outcome = act.status.outcome ?? act.status.state;
  const both = (pick: (count: Count) => number): string =>
    undoing ? `${pick(switching)} + ${pick(undoing)}` : String(pick(switching));
  return [
    String(index + 1),
    act.release,
    transcript.paint(outcome === 'promoted' ? 'good' : 'bad', outcome),
    tally(act),
    both((count) => count.requests),
    both((count) => count.failed),
    both((count) => count.codes['000'] ?? 0),
    String(eventsPerSite(act)),
    `${act.seconds.toFixed(0)} s`,
  ];
}

function tally(act: ActRecord): string {
  const counts = new Map<string, number>();
  for (const { outcome } of Object.values(act.sites)) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  return [...counts]
    .map(([outcome, count]) => `${count} ${outcome}`)
    .sort()
    .join(', ');
}

/** Over the sites that were commanded; two decimals. */
function eventsPerSite({ events, sites }: ActRecord): number {
  const commanded = Object.values(sites).filter(({ outcome }) => outcome !== 'untouched').length;
  return commanded === 0 ? 0 : Math.round((100 * events.converge) / commanded) / 100;
}
