/** Who may speak for a site, as far as a person has to know: a site in doubt is given nothing, however well it reports. */
import type { SiteIdentity } from '../policies/model/enrolment.js';
import type { Registry } from '../records/registry/registry.js';
import { clock, span } from './render/times.js';

export type SpeakerWord = 'doubt' | 'refused' | 'waiting' | 'retired';
export interface SpeakerNote {
  word: SpeakerWord;
  text: string;
}

/** By site, of those that there is something to say of; none where nothing was ever enrolled, retired or refused. */
export async function speakerNotes(
  registry: Registry,
  sites: string[],
  now: number,
): Promise<Map<string, SpeakerNote>> {
  const [identities, refused] = [await registry.identities(sites), await registry.refusedSpeakers(sites)];
  const notes = new Map<string, SpeakerNote>();
  for (const site of sites) {
    const note = speakerNote(identities.get(site), refused.get(site), now);
    if (note !== undefined) notes.set(site, note);
  }
  return notes;
}

function speakerNote(
  identity: SiteIdentity | undefined,
  refused: { code: string; detail: string; at: number } | undefined,
  now: number,
): SpeakerNote | undefined {
  if (identity?.retired) {
    const { at, by, reason } = identity.retired;
    return { word: 'retired', text: `retired at the centre ${clock(at, now)} by ${by}: ${reason}` };
  }
  if (identity?.doubt) {
    const { code, detail, since } = identity.doubt;
    return { word: 'doubt', text: `in doubt since ${clock(since, now)}, given nothing: ${code} (${detail})` };
  }
  // What was refused before the present agent was bound is over.
  if (refused && refused.at >= (identity?.boundAt ?? 0)) {
    return {
      word: 'refused',
      text: `an agent is refused since ${clock(refused.at, now)}: ${refused.code} (${refused.detail})`,
    };
  }
  const { token, instance } = identity ?? {};
  if (token === undefined || instance !== undefined) return undefined;
  const left = token.expiresAt - now;
  const good = left > 0 ? `good for ${span(left)} more` : 'and it has expired';
  return { word: 'waiting', text: `its token of epoch ${identity?.epoch ?? 1} was not used yet, ${good}` };
}
