/** What the documents point at is there: links, files of the code, commands, and every playbook in its index. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { REASON_CODES, REASONS } from '../policies/model/reasons.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const folders = ['docs', 'docs/operating', 'docs/playbooks', 'docs/recipes', 'docs/decisions'];
const pages = [
  'policies/README.md',
  ...folders
    .filter((folder) => existsSync(join(root, folder)))
    .flatMap((folder) => readdirSync(join(root, folder)).map((name) => `${folder}/${name}`))
    .filter((path) => path.endsWith('.md')),
];

/** Links to files of the checkout, and files of the rooms named in backticks, that are not there. */
function deadReferences(page: string, text: string): string[] {
  const links = [...text.matchAll(/\]\((?!https?:|#)([^)#\s]+)[^)]*\)/g)].map(([, to = '']) =>
    normalize(join(dirname(page), to)),
  );
  const rooms = 'policies|workflows|activities|records|site|worker|cli|infra|test|docs|bench|examples';
  const named = [...text.matchAll(new RegExp(`\`((?:${rooms})/[\\w./-]+)\``, 'g'))].map(([, path = '']) => path);
  return [...links, ...named].filter((path) => !existsSync(join(root, path)));
}

/** Rows of the index that are missing or say something else than the code. */
function missingRows(index: string): string[] {
  const rows = index.split('\n');
  return REASON_CODES.filter((code) => !rows.includes(`| [${code}](${code}.md) | ${REASONS[code]} |`));
}

describe('the documents', () => {
  it.each(pages)('%s names only what is there', (page) => {
    expect(deadReferences(page, readFileSync(join(root, page), 'utf8'))).toEqual([]);
  });

  it('[A61] have every reason code in the index of playbooks, with the line that explain prints', () => {
    expect(missingRows(readFileSync(join(root, 'docs/playbooks/README.md'), 'utf8'))).toEqual([]);
  });

  it('are refused with a dead link, a file that is gone, or a code without its row', () => {
    expect(deadReferences('docs/x.md', 'see [a](concepts.md) and `site/agent.ts`')).toEqual([]);
    expect(deadReferences('docs/x.md', 'see [a](gone.md#part)')).toEqual(['docs/gone.md']);
    expect(deadReferences('docs/x.md', 'in `site/gone.ts`')).toEqual(['site/gone.ts']);
    expect(missingRows('')).toEqual([...REASON_CODES]);
  });
});
