/** The rollout in Markdown for the Temporal UI: state, stage table, first problem sites, next commands. */
import type { RolloutStatus, SiteOutcome } from '../model/rollout.js';
import { tallyOf } from './budget.js';

/** The server takes 20,000 bytes; what people read fits on a screen. */
const LONGEST = 8_000;
const PROBLEMS = 10;

export function describeRollout(status: RolloutStatus, outcomes: SiteOutcome[]): string {
  const text = [headline(status), '', ...stageTable(status), ...problems(outcomes), '', ...nextCommands(status)].join(
    '\n',
  );
  return text.length <= LONGEST ? text : `${text.slice(0, LONGEST)}\n…`;
}

function headline(status: RolloutStatus): string {
  const { label, state, outcome, reason, wait } = status;
  if (wait) {
    const until =
      wait.until === undefined
        ? 'without a deadline'
        : `until ${new Date(wait.until).toISOString()}, then: ${wait.then}`;
    return `**${label} needs ${wait.owner}**: ${wait.reason.code} (${wait.reason.detail}), ${until}`;
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
  return ['', ...lines, ...more];
}

function nextCommands(status: RolloutStatus): string[] {
  if (status.state === 'sealed') return [`\`foothold explain ${status.label}\``];
  const verbs = status.wait ? ['promote', 'abort', 'revert'] : ['pause', 'abort', 'revert'];
  return verbs.map((verb) => `- \`foothold ${verb} ${status.label} --reason …\``);
}
