/** The reconciler in the Temporal UI: what it waits for, and how many sites differ and why. Markdown, far below its limit. */
import type { CatchUpFacts } from './facts.js';
import type { CatchUpDecision } from './next.js';

export function describeCatchUp(facts: CatchUpFacts, decision: CatchUpDecision): string {
  const hindered = Object.entries(facts.hindered).sort((a, b) => b[1] - a[1]);
  const rows = hindered.map(([code, count]) => `| ${code} | ${count} |`);
  const table = rows.length === 0 ? [] : ['', '| left out for | sites |', '|---|---|', ...rows];
  return [
    `**${facts.stream}**: ${nextWords(decision)}`,
    '',
    `${facts.total} sites differ from what they should run; \`foothold owed ${facts.stream}\` lists them.`,
    ...table,
  ].join('\n');
}

function nextWords(decision: CatchUpDecision): string {
  switch (decision.kind) {
    case 'deliver':
      return `starts ${decision.carriers.length} carriers of owed reverts again`;
    case 'batch':
      return `brings ${decision.request.catchUp.sites.length} sites to ${decision.request.release}`;
    case 'wait':
      return `waits until ${new Date(decision.until).toISOString()}: ${decision.why.code} (${decision.why.detail})`;
    case 'idle':
      return 'nothing is owed that could be brought now';
  }
}
