/**
 * What a depot holds, for people who mistype: `releases/_streams.json` of streams, `releases/<stream>/index.json` of
 * versions. Only a convenience: nothing is decided by it, and publishing anything mends it.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { compare } from 'semver';
import { z } from 'zod';
import { Name } from '../../policies/model/names.js';
import { placeFile } from './durable.js';

/** `_`: no stream can be named so. */
export const STREAMS_PATH = 'releases/_streams.json';
export const versionsPath = (stream: string): string => `releases/${stream}/index.json`;

/** The content of both listings. */
export const Listing = z.object({ names: z.array(z.string()) });

/** Writes both listings anew from what lies there. */
export async function writeListings(depot: string, stream: string): Promise<void> {
  await writeUntilTrue(join(depot, versionsPath(stream)), () => versionsIn(depot, stream));
  await writeUntilTrue(join(depot, STREAMS_PATH), () => streamsIn(depot));
}

export async function versionsIn(depot: string, stream: string): Promise<string[]> {
  const names = await readdir(join(depot, 'releases', stream)).catch(() => []);
  const versions = names.flatMap((name) => {
    const found = /^(?!\.)(.+)\.json$/.exec(name)?.[1];
    return found === undefined || name === 'index.json' ? [] : [decodeURIComponent(found)];
  });
  return versions.sort(compareVersions);
}

export async function streamsIn(depot: string): Promise<string[]> {
  const names = await readdir(join(depot, 'releases')).catch(() => []);
  return names.filter((name) => Name.safeParse(name).success).sort();
}

/** Two publishers may list at once: whoever writes last looks again, so the last listing written is a true one. */
export async function writeUntilTrue(path: string, list: () => Promise<string[]>): Promise<void> {
  for (;;) {
    const text = JSON.stringify({ names: await list() });
    if ((await readFile(path, 'utf8').catch(() => '')) === text) return;
    await placeFile(path, (file) => file.writeFile(text));
  }
}

function compareVersions(a: string, b: string): number {
  try {
    return compare(a, b) || (a < b ? -1 : 1);
  } catch {
    return a < b ? -1 : 1;
  }
}
