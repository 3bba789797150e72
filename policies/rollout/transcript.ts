/** A rollout as a person reads it: its evidence, one line an entry, times counted from its first entry. */
import type { Result } from '../model/command.js';
import type { EvidenceEntry } from '../model/evidence.js';
import type { PlanStage } from '../model/plan.js';
import type { SiteOutcome } from '../model/rollout.js';
import type { GateVerdict, Reason } from '../model/verdict.js';

type Data = Record<string, unknown>;

/** Sites' own clocks are shown as they are told, relative to the same instant. */
export function transcriptOf(entries: readonly EvidenceEntry[]): string[] {
  const start = entries[0]?.at ?? 0;
  return entries.flatMap((entry) => {
    const text = describeEntry(entry, start);
    return text === undefined ? [] : [`${seconds(entry.at - start).padStart(8)}  ${text}`];
  });
}

/** One entry in words, times counted from `start`; undefined for what says nothing that another entry does not. */
export function describeEntry({ kind, data }: Pick<EvidenceEntry, 'kind' | 'data'>, start: number): string | undefined {
  const describe = DESCRIPTIONS[kind];
  return describe ? describe(data, start) : `${kind} ${JSON.stringify(data)}`;
}

const DESCRIPTIONS: Record<string, (data: Data, start: number) => string | undefined> = {
  plan: ({ label, plan }) => {
    const stages = (plan as { stages: PlanStage[] }).stages.map((stage) => {
      const waves = stage.waves.map((wave) => wave.sites.map((site) => site.id).join(' ') || 'held').join(' | ');
      return `${stage.name} [${waves}]`;
    });
    return `plan of ${String(label)}: ${stages.join(', ')}`;
  },
  preflight: ({ blocked, counts }) => {
    const { pass, warn, block } = counts as { pass: number; warn: number; block: number };
    return `preflight ${blocked ? 'blocks' : 'passes'}: ${pass} pass, ${warn} warn, ${block} block`;
  },
  prefetch: ({ within, sites }) => `files travel to ${String(sites)} sites for ${seconds(Number(within))}`,
  prefetched: ({ end, by, sites, whole }) => {
    const who = by === undefined ? '' : ` by ${text(by)}`;
    const count = sites === undefined ? '' : `: ${Number(whole)} of ${Number(sites)} sites have the files`;
    return `prefetch ${text(end)}${who}${count}`;
  },
  wave: ({ stage, wave, sites }) => `wave ${Number(wave) + 1} of ${text(stage)}: ${(sites as string[]).join(' ')}`,
  result: ({ result, counted }, start) => (counted ? describeResult(result as Result, start) : undefined),
  'site-event': ({ outcome, site }) => {
    const told = outcome as SiteOutcome | undefined;
    return told ? `${String(site)} reported: ${told.outcome}${why(told.reason)}` : undefined;
  },
  unsettled: ({ commandId, state }) => `${String(commandId)} unsettled, last seen ${String(state)}`,
  disposition: ({ outcome }) => {
    const { site, outcome: word, reason } = outcome as SiteOutcome;
    return `${site} ${word}${why(reason)}`;
  },
  gate: ({ stage, wave, verdict, because, samples }) => {
    if (because !== undefined) return `no gate for ${text(stage)}: ${text(because)}`;
    const judged = verdict as GateVerdict;
    const taken = (samples as unknown[] | undefined)?.length ?? 0;
    return `gate of ${text(stage)} after wave ${Number(wave) + 1}: ${judged.verdict}${why(judged.reason)}, ${taken} samples`;
  },
  decision: ({ stage, kind, reason, then }) =>
    `decision for ${text(stage)}: ${text(kind)}${then === undefined ? '' : ` (${text(then)})`}${why(reason as Reason)}`,
  wait: ({ reason, owner }) => `waits for ${text(owner)}${why(reason as Reason)}`,
  'wait-ended': ({ reason, end }) => `the wait for ${String(reason)} ended: ${String(end)}`,
  verb: ({ verb, by, reason }) => `${String(verb)} by ${String(by)}: ${String(reason)}`,
  undo: ({ stages, reason }) => `undo of ${(stages as string[]).join(', ')}${why(reason as Reason)}`,
  'owed-reverts': ({ sites }) => `reverts owed: ${(sites as string[]).join(' ')}`,
  sealed: ({ outcome, reason }) => `sealed: ${String(outcome)}${why(reason as Reason)}`,
  'signal-ignored': ({ verb, why: because }) => `signal ${String(verb)} ignored: ${text(because)}`,
  'shard-lost': ({ shard, why: because }) => `shard ${String(shard)} lost: ${text(because)}`,
};

function describeResult({ site, verb, result, at, changed, reason, previous }: Result, start: number): string {
  const when = `at ${seconds(at - start)} by its clock`;
  if (verb === 'converge') return `${site} ${result}${why(reason)}, ${when}`;
  const before =
    previous && previous.result !== 'superseded' ? `; before that ${previous.result}${why(previous.reason)}` : '';
  return `${site} answers the revert: ${result}, ${changed ? 'undone' : 'nothing to undo'}${before}, ${when}`;
}

function why(reason: Reason | undefined): string {
  return reason ? ` ${reason.code} (${reason.detail})` : '';
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
