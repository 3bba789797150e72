/** Checks of the release itself, once for all sites. */
import { MistakeError } from '../../model/failure.js';
import { parseReleaseData, type Release } from '../../model/release.js';
import { variableUses } from '../../render/release.js';
import type { Objection, ReleaseCheck } from '../checks.js';
import type { JudgedRelease, ReleaseFacts } from '../facts.js';

/** A central revert blocks (stream, release) until a person allows it. */
export const blocked: ReleaseCheck = {
  name: 'blocked',
  judge({ ref, blocked: block }) {
    if (block === undefined) return [];
    const lift = `foothold allow ${ref.stream}@${ref.version} --reason …`;
    return [
      { result: 'block', code: 'BLOCKED', detail: `was reverted by rollout ${block.rollout}; to try again: ${lift}` },
    ];
  },
};

/** The release parsed, with every use of a variable; or why it is not what its name says. */
export function judgeSchema(facts: ReleaseFacts): { release: JudgedRelease } | { objections: Objection[] } {
  const { ref, written, templates, blocked: block, fleetStreams } = facts;
  let release: Release;
  try {
    release = parseReleaseData(written);
    const uses = variableUses(release, templates);
    if (release.stream === ref.stream && release.version === ref.version) {
      return { release: { ref, release, uses, blocked: block, fleetStreams } };
    }
  } catch (error) {
    if (!(error instanceof MistakeError)) throw error;
    const lines = error.details.length > 0 ? error.details : [error.message];
    return { objections: lines.map(invalid) };
  }
  const named = `${ref.stream}@${ref.version}`;
  return { objections: [invalid(`expected ${named}, the manifest holds ${release.stream}@${release.version}`)] };
}

function invalid(detail: string): Objection {
  return { result: 'block', code: 'RELEASE_INVALID', detail };
}
