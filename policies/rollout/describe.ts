/** The rollout in Markdown for the Temporal UI: state, stage table, first problem sites, next commands. */
import type { OfferedVerb, RolloutStatus, SiteOutcome } from '../model/rollout.js';
import { tallyOf } from './budget.js';

/** The server takes 20,000 bytes, and a character has at most three: this many always fit. */
const LONGEST = 6_000;
const PROBLEMS = 10;
/** A reason may quote what a program printed. */
const LONGEST_LINE = 300;

/**
 * Never longer than the server takes: of the stage table, rows are left out before anything else is. `offered`: what
 * the rollout would obey now.
 */
export function describeRollout(status: RolloutStatus, outcomes: SiteOutcome[], offered: OfferedVerb[]): string {
  const head = clip(headline(status), 2 * LONGEST_LINE);
  const tail = ['', ...problems(outcomes), ...nextCommands(status, offered)].map((line) => clip(line, LONGEST_LINE));
  const room = LONGEST - [head, ...tail].reduce((sum, line) => sum + line.length + 1, 0);
  return [head, '', ...fitting(stageTable(status), room), ...tail].join('\n').slice(0, LONGEST);
}

function fitting(rows: string[], room: number): string[] {
  const kept: string[] = [];
  let left = room - 40;
  for (const row of rows) {
    left -= row.length + 1;
    if (left < 0) return [...kept, `| … and ${rows.length - kept.length} more stages |`];
    kept.push(row);
  }
  return kept;
}

function clip(line: string, longest: number): string {
  return line.length <= longest ? line : `${line.slice(0, longest - 1)}…`;
}

function headline(status: RolloutStatus): string {
  const { label, state, outcome, reason, wait, prefetch } = status;
  if (wait) {
    const until =
      wait.until === undefined
        ? 'without a deadline'
        : `until ${new Date(wait.until).toISOString()}, then: ${wait.then}`;
    return `**${label} needs ${wait.owner}**: ${wait.reason.code} (${wait.reason.detail}), ${until}`;
  }
  if (prefetch && state === 'prefetching') {
    const until = prefetch.until === undefined ? '' : ` until ${new Date(prefetch.until).toISOString()}`;
    return `**${label}** files travel${until}; no site has been changed; promote begins now`;
  }
  const why = reason ? `: ${reason.code} (${reason.detail})` : '';
  return `**${label}** ${outcome ?? state}${why}`;
}

function stageTable(status: RolloutStatus): string[] {
  const rows = status.stages.map(
    (s) => `| ${s.name} | ${s.state} | ${s.wave}/${s.waves} | ${s.sites} | ${s.confirmed} | ${s.failed} | ${s.owed} |`,
  );
  return ['| stage | state | wave | sites | confirmed | failed | owed |', '|---|---|---|---|---|---|---|', ...rows];
}

function problems(outcomes: SiteOutcome[]): string[] {
  const found = outcomes.filter((o) => ['failed', 'owed'].includes(tallyOf(o)));
  if (found.length === 0) return [];
  const lines = found
    .slice(0, PROBLEMS)
    .map((o) => `- ${o.site}: ${o.outcome}${o.reason ? ` ${o.reason.code} (${o.reason.detail})` : ''}`);
  const more = found.length > PROBLEMS ? [`- and ${found.length - PROBLEMS} more`] : [];
  return [...lines, ...more, ''];
}

function nextCommands({ label }: RolloutStatus, offered: OfferedVerb[]): string[] {
  if (offered.length === 0) return [`\`foothold explain ${label}\``];
  return offered.map((one) => {
    const [verb, ...flags] = one.split(' ');
    return `- \`${['foothold', verb, label, ...flags].join(' ')} --reason …\``;
  });
}
