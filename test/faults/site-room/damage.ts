/** Rot: one file of the data directory is no longer what was written. The database is not touched: it has a story of its own. */
import { join } from 'node:path';
import type { Chance } from '../random.js';
import { realFs } from './disk.js';
import type { World } from './world.js';

export function damageFile(world: World, how: 'flip' | 'shorten', chance: Chance): string | undefined {
  const files = ['blobs', 'releases', 'saved', 'incoming'].flatMap((name) => filesBelow(join(world.data, name)));
  const [first, ...more] = files;
  if (first === undefined) return undefined;
  // Half the time where it matters most: in what is live, or is about to be.
  const [rendered, ...others] = filesBelow(join(world.data, 'releases'));
  const path = rendered && chance.in(0.5) ? chance.pick([rendered, ...others]) : chance.pick([first, ...more]);
  const bytes = realFs.readFileSync(path);
  if (bytes.length === 0) return undefined;
  const at = chance.between(0, bytes.length - 1);
  if (how === 'flip') bytes[at] = (bytes[at] ?? 0) ^ (1 << chance.between(0, 7));
  realFs.writeFileSync(path, how === 'flip' ? bytes : bytes.subarray(0, at));
  return path;
}

function filesBelow(directory: string): string[] {
  if (!realFs.existsSync(directory)) return [];
  const entries = realFs.readdirSync(directory, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  return entries.flatMap((entry) => {
    const path = join(directory, entry.name);
    return entry.isDirectory() ? filesBelow(path) : entry.isFile() ? [path] : [];
  });
}
