/** Every reason code has its page, every page its code, and every page answers the three questions. */
import { readFileSync, readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { REASON_CODES } from '../policies/model/reasons.js';

const folder = new URL('../docs/playbooks/', import.meta.url);
const SECTIONS = ['What it means', 'What it does not mean', 'What to do'];

/** What is wrong with a page; a section counts only with words under it. */
function judgePage(code: string, page: string): string[] {
  const parts = page.split(/^## +/m).slice(1);
  const sections = new Map(
    parts.map((part) => [part.split('\n')[0]?.trim(), part.split('\n').slice(1).join('\n').trim()]),
  );
  return [
    ...(page.split('\n', 1)[0]?.includes(code) ? [] : ['the first line does not name the code']),
    ...SECTIONS.filter((section) => !sections.get(section)).map((section) => `nothing under \`## ${section}\``),
  ];
}

describe('the playbooks', () => {
  const pages = readdirSync(folder)
    .filter((name) => name.endsWith('.md') && name !== 'README.md')
    .map((name) => name.replace(/\.md$/, ''));

  it('[A61] are there for every reason code, and for nothing else', () => {
    expect(pages.sort()).toEqual([...REASON_CODES].sort());
  });

  it.each(pages)('%s says what it means, what it does not, and what to do', (code) => {
    expect(judgePage(code, readFileSync(new URL(`${code}.md`, folder), 'utf8'))).toEqual([]);
  });

  it('are refused with a section missing, empty, or another code on top', () => {
    const whole = '# X\n\n## What it means\n\na\n\n## What it does not mean\n\nb\n\n## What to do\n\nc\n';
    expect(judgePage('X', whole)).toEqual([]);
    expect(judgePage('Y', whole)).toEqual(['the first line does not name the code']);
    expect(judgePage('X', whole.replace('## What to do', 'What to do'))).toEqual(['nothing under `## What to do`']);
    expect(judgePage('X', whole.replace('b\n', ''))).toEqual(['nothing under `## What it does not mean`']);
  });
});
