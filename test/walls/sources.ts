/** The sources of the rooms, read from the checkout. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join, sep } from 'node:path';
import type { SourceFile } from './judge.js';

const FOLDERS = [
  'policies',
  'site',
  'records',
  'activities',
  'workflows',
  'worker',
  'cli',
  'infra',
  'test',
  'bench',
  'examples',
];

/** Every TypeScript and JavaScript file below the given folders, all rooms by default. */
export function readSources(root: string, folders = FOLDERS): SourceFile[] {
  return folders
    .filter((folder) => existsSync(join(root, folder)))
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
        .filter((entry) => /\.[cm]?[jt]s$/.test(entry) && !entry.split(sep).includes('node_modules'))
        .map((entry) => ({
          path: `${folder}/${entry.split(sep).join('/')}`,
          text: readFileSync(join(root, folder, entry), 'utf8'),
        })),
    );
}
