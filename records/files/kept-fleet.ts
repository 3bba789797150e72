/**
 * The fleet, parsed and checked anew only when one of its files says something else. Ten thousand sites cost 1.5 s of
 * processor each time (measured), in which their worker does nothing else; the reconciler asks at every look.
 */
import { dirname } from 'node:path';
import { loadFleet, type LoadedFleet } from './fleet-file.js';
import { fitting } from './include.js';
import { readText } from './read-text.js';

interface Kept {
  path: string;
  /** By path, as read: a time of change may stay as it was, or have the grain of seconds. */
  texts: Map<string, string>;
  fleet: LoadedFleet;
}

export class KeptFleet {
  #kept: Kept | undefined;

  /** As `loadFleet`, and throws what it throws. Frozen: whoever asks next is given the same. */
  async load(path: string): Promise<LoadedFleet> {
    // Of its own: while the files are read, another may be kept in its place.
    const kept = this.#kept;
    if (kept?.path === path && (await isAsRead(kept))) return kept.fleet;
    const texts = new Map<string, string>();
    const fleet = await loadFleet(path, [], async (file, code) => {
      const text = await readText(file, code);
      texts.set(file, text);
      return text;
    });
    this.#kept = { path, texts, fleet: frozen(fleet) };
    return fleet;
  }
}

/** What cannot be read is not as it was: loading it says why. */
async function isAsRead({ path, texts, fleet }: Kept): Promise<boolean> {
  const files = [path, ...(await fitting(dirname(path), fleet.filled.include ?? []))];
  if (files.length !== texts.size) return false;
  for (const file of files) {
    const text = await readText(file, 'FLEET_INVALID').catch(() => undefined);
    if (text === undefined || texts.get(file) !== text) return false;
  }
  return true;
}

function frozen<T extends object>(value: T): T {
  if (Object.isFrozen(value)) return value;
  for (const below of Object.values(value)) if (typeof below === 'object' && below !== null) frozen(below as object);
  return Object.freeze(value);
}
