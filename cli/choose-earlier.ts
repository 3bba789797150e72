/** Which release a rollback goes to: pure, over what the registry knows of the stream. */
import semver from 'semver';

/** A rollout of the stream that was promoted: its release was verified then. */
export interface Promotion {
  label: string;
  version: string;
  digest: string;
  at: number;
}

export type Earlier =
  | { kind: 'found'; to: { version: string; digest?: string }; promoted?: Promotion; skipped: string[] }
  | { kind: 'none'; because: string };

/**
 * The release promoted before the one that is desired `now`. What counts is when `now` was *first* promoted: after a
 * rollback the release that was left must not come back as "the one before". Blocked releases are passed over.
 */
export function chooseEarlier(
  now: { version: string; digest: string },
  promotions: Promotion[],
  blocked: ReadonlySet<string>,
): Earlier {
  const ordered = [...promotions].sort((a, b) => a.at - b.at);
  const first = ordered.findIndex(({ digest }) => digest === now.digest);
  const before = ordered.slice(0, first < 0 ? ordered.length : first).filter(({ digest }) => digest !== now.digest);
  const skipped = [...new Set(before.filter(({ digest }) => blocked.has(digest)).map(({ version }) => version))];
  const to = before.findLast(({ digest }) => !blocked.has(digest));
  if (to) return { kind: 'found', to, promoted: to, skipped };
  const because =
    skipped.length > 0
      ? `every release promoted before ${now.version} is blocked: ${skipped.join(', ')}`
      : `no release was promoted before ${now.version}`;
  return { kind: 'none', because };
}

/** The version that a person names: promoted here or only published, but not what is desired now, and not a later one. */
export function chooseNamed(
  now: { version: string; digest: string },
  wanted: string,
  promotions: Promotion[],
): Earlier {
  if (wanted === now.version) return { kind: 'none', because: `${wanted} is what is desired now` };
  const promoted = promotions.filter(({ version }) => version === wanted).sort((a, b) => b.at - a.at)[0];
  // Versions that cannot be compared are the person's to judge.
  const [from, to] = [semver.valid(now.version), semver.valid(wanted)];
  if (!promoted && from !== null && to !== null && semver.gt(to, from)) {
    return {
      kind: 'none',
      because: `${wanted} is later than ${now.version}, which is desired now: use foothold start`,
    };
  }
  return { kind: 'found', to: { version: wanted }, skipped: [], ...(promoted ? { promoted } : {}) };
}
