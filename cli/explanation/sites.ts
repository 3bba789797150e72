/** Every way in which a site of a rollout can stand, explained. */
import type { Cause, SiteState } from '../../policies/model/command.js';
import type { ReasonCode } from '../../policies/model/reasons.js';
import type { SiteOutcome, SiteOutcomeWord } from '../../policies/model/rollout.js';
import type { Reason } from '../../policies/model/verdict.js';
import { explanationOf, type Explanation, type Situation, type Subject } from './explanation.js';

/** The code of a result that came without a reason: a site of another version may leave it out. */
const OF_CAUSE: Record<Cause, ReasonCode> = {
  check: 'CHECK_FAILED',
  deadline: 'DEADLINE_PASSED',
  boot: 'CRASH_IN_SWITCH',
  person: 'PERSON',
  command: 'COMMANDED',
  switch: 'SWITCH_FAILED',
  uplink: 'UPLINK_LOST',
};

const OF_WORD: Partial<Record<SiteOutcomeWord, ReasonCode>> = {
  confirmed: 'CONFIRMED',
  superseded: 'SUPERSEDED',
  'safe-mode': 'NOTHING_VERIFIED',
  untouched: 'NOT_COMMANDED',
};

const STANDS: Record<SiteOutcomeWord, (subject: Subject) => Situation['otherwise']> = {
  confirmed: ({ site }) => ({
    unblocks: 'nothing: it runs the release',
    who: 'nobody has to',
    next: [`foothold site show ${site ?? ''}`],
  }),
  reverted: (subject) => ({
    unblocks: 'the cause at the site being mended; then a person allows the release there again',
    who: 'whoever made the release',
    next: [
      ...look(subject),
      `foothold allow ${subject.stream}@${subject.version} --site ${subject.site ?? 'ID'} --reason …`,
    ],
  }),
  rejected: (subject) => ({
    unblocks: 'what the site objects to being mended: nothing was switched there',
    who: 'a person at the site',
    next: [...look(subject), ...retry(subject)],
  }),
  superseded: ({ stream }) => ({
    unblocks: 'nothing: a newer command took its place',
    who: 'nobody has to',
    next: [`foothold status ${stream}`],
  }),
  'safe-mode': (subject) => ({
    unblocks: 'a person at the site: there was nothing verified to go back to',
    who: 'a person at the site',
    next: look(subject),
  }),
  owed: (subject) => ({
    unblocks: 'the site’s link coming back',
    who: 'whoever runs the site’s link',
    next: [`foothold owed ${subject.stream} --site ${subject.site ?? 'ID'}`, ...look(subject)],
  }),
  deferred: (subject) => ({
    unblocks: 'the time or the condition that is named here; the same command is given again then',
    who: 'nobody has to: it happens by itself',
    next: [`foothold owed ${subject.stream} --site ${subject.site ?? 'ID'}`],
  }),
  untouched: (subject) => ({
    unblocks: 'its wave being reached; after the end of the rollout, another one',
    who: 'nobody has to',
    next: [`foothold status ${subject.label ?? subject.stream}`],
  }),
};

function look({ site }: Subject): string[] {
  return [`foothold site show ${site ?? 'ID'}`];
}
function retry({ label, site }: Subject): string[] {
  return label === undefined ? [] : [`foothold retry ${label} ${site ?? ''}`.trimEnd() + ' --reason …'];
}

/** `ofRollout` says which release and rollout it is about. */
export function explainSiteOutcome(outcome: SiteOutcome, ofRollout: Subject): Explanation {
  const subject = { ...ofRollout, site: outcome.site };
  const until = outcome.until === undefined ? '' : ` until ${new Date(outcome.until).toISOString()}`;
  return explanationOf({
    about: `site ${outcome.site} is ${outcome.outcome}${until}`,
    reason: reasonOf(outcome),
    subject,
    otherwise: STANDS[outcome.outcome](subject),
  });
}

function reasonOf({ outcome, reason, cause, state, stage, wave }: SiteOutcome): Reason {
  if (reason) return reason;
  const detail = `${outcome} in stage ${stage}, wave ${wave + 1}${cause === undefined ? '' : `, by ${cause}`}`;
  if (outcome === 'owed') return { code: state == null ? 'UNREACHED' : 'NO_RESULT', detail: lastSeen(state) };
  const code = OF_WORD[outcome] ?? (cause === undefined ? 'NOT_RECORDED' : OF_CAUSE[cause]);
  return { code, detail };
}

function lastSeen(state: SiteState | null | undefined): string {
  if (state === null) return 'the command was never received';
  return state === undefined ? 'it is not known whether the command was received' : `last seen ${state}`;
}

const AT_SITE: Record<SiteState, string> = {
  idle: 'it has no command of this stream',
  accepted: 'the command is on its disk, and its files are being fetched',
  staged: 'everything is there, and it waits for its turn to switch',
  switching: 'it is switching now; interrupted, it goes back by itself',
  watching: 'it has switched, and its checks decide; failing, it goes back by itself',
  confirmed: 'the release was healthy for long enough',
  rejected: 'it switched nothing',
  reverting: 'it is going back',
  reverted: 'it went back to what it ran before',
  'safe-mode': 'it found nothing verified to go back to, and waits for a person',
};

/** What a stream's own state at a site means, in one line. */
export function explainSiteState(state: SiteState | null): string {
  return state === null ? 'the command was never received' : AT_SITE[state];
}
