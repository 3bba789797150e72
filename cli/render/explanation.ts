/** Explanations as text: the one that matters in full, the others once for each code. */
import type { Explanation } from '../explanation/explanation.js';
import { harmless } from './paint.js';
import { indent } from './table.js';

const SHOWN = 10;

/** The state itself: why, what would unblock it, who can, and what is typed. */
export function firstText({ about, code, detail, meaning, playbook, unblocks, who, next }: Explanation): string {
  return [
    `why        ${about}: ${code} (${harmless(detail)})`,
    `           ${meaning}; see ${playbook}`,
    `unblocks   ${unblocks}`,
    `who can    ${harmless(who)}`,
    ...next.map((command, index) => `${index === 0 ? 'next' : '    '}       ${command}`),
  ].join('\n');
}

export function explanationsText(explanations: Explanation[]): string {
  const byCode = new Map<string, Explanation[]>();
  for (const one of explanations) byCode.set(one.code, [...(byCode.get(one.code) ?? []), one]);
  return [...byCode.values()].map(groupText).join('\n');
}

function groupText(group: Explanation[]): string {
  const [first] = group;
  if (!first) return '';
  const about = group.slice(0, SHOWN).map((one) => `${one.about}: ${harmless(one.detail)}`);
  const more = group.length > SHOWN ? [`… and ${group.length - SHOWN} more`] : [];
  const lines = [
    ...about,
    ...more,
    `unblocks: ${first.unblocks}`,
    `who can: ${harmless(first.who)}`,
    `next: ${first.next[0] ?? ''}`,
    `see ${first.playbook}`,
  ];
  return `${first.code}: ${first.meaning}\n${indent(lines.join('\n'))}`;
}
