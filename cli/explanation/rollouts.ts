/** Every state of a rollout explained: why it is in it, what would move it on, who can, what is typed next. */
import type { RolloutOutcome, RolloutStatus } from '../../policies/model/rollout.js';
import type { Reason } from '../../policies/model/verdict.js';
import { harmless } from '../render/paint.js';
import { currentStage, totals } from '../render/headline.js';
import { explanationOf, releaseOf, type Explanation, type Situation, type Subject } from './explanation.js';

export function subjectOf(rollout: RolloutStatus): Subject {
  const { stream, release, strategy, label, wait, state, outcome } = rollout;
  const owner = wait === undefined ? {} : { owner: wait.owner };
  const stands = state === 'sealed' ? (outcome ?? 'terminated') : 'open';
  return { stream, version: release.version, strategy, label, stands, ...owner };
}

export function explainRolloutState(rollout: RolloutStatus): Explanation {
  const subject = subjectOf(rollout);
  const { about, reason, otherwise } = situationOf(rollout, subject);
  const explained = explanationOf({ about, reason, subject, otherwise });
  // A wait is its owner's, whoever else could help.
  return rollout.wait === undefined ? explained : { ...explained, who: `${rollout.wait.owner}; ${explained.who}` };
}

function situationOf(rollout: RolloutStatus, subject: Subject): Omit<Situation, 'subject'> {
  const { label, state, outcome } = rollout;
  if (state === 'sealed') return sealedSituation(rollout, subject);
  if (outcome === 'halted') {
    const about = `rollout ${label} is halted`;
    return { about, reason: rollout.wait?.reason ?? reasonOf(rollout), otherwise: decision(label, true) };
  }
  if (rollout.wait !== undefined && state === 'waiting') return waitingSituation(rollout, rollout.wait.reason);
  switch (state) {
    case 'planning':
    case 'preflight':
      return moving(rollout, state === 'planning' ? 'is being planned' : 'is in preflight', 'no site has been touched');
    case 'prefetching':
      return prefetchSituation(rollout);
    case 'running':
    case 'gating':
      return moving(rollout, state === 'running' ? 'runs' : 'is judged by its gate', progressText(rollout));
    case 'reverting':
      return moving(rollout, 'is being undone', undoText(rollout));
    case 'waiting':
      return waitingSituation(rollout, reasonOf(rollout));
    case 'paused':
      return {
        about: `rollout ${label} is paused`,
        reason: { code: 'PAUSED', detail: harmless(rollout.reason?.detail ?? progressText(rollout)) },
        otherwise: {
          unblocks: 'a person resuming it; what is in flight settles meanwhile',
          who: 'the person on duty',
          next: [`foothold resume ${label} --reason …`, `foothold abort ${label} --reason …`],
        },
      };
  }
}

function waitingSituation(rollout: RolloutStatus, reason: Reason): Omit<Situation, 'subject'> {
  return { about: `rollout ${rollout.label} waits`, reason, otherwise: decision(rollout.label, false) };
}

/** What a person can do about a wait. */
function decision(label: string, halted: boolean): Situation['otherwise'] {
  return {
    unblocks: 'a person deciding',
    who: 'the person on duty',
    next: [
      `foothold promote ${label}${halted ? ' --override' : ''} --reason …`,
      `foothold abort ${label} --reason …`,
      `foothold revert ${label} --reason …`,
    ],
  };
}

function moving(rollout: RolloutStatus, doing: string, detail: string): Omit<Situation, 'subject'> {
  const { label } = rollout;
  const stop = rollout.state === 'reverting' ? [] : [`foothold pause ${label} --reason …`];
  return {
    about: `rollout ${label} ${doing}`,
    reason: { code: 'IN_MOTION', detail },
    otherwise: {
      unblocks: 'nothing has to be unblocked',
      who: 'nobody has to: it moves by itself',
      next: [`foothold watch ${label}`, ...stop],
    },
  };
}

function prefetchSituation(rollout: RolloutStatus): Omit<Situation, 'subject'> {
  const { label, prefetch } = rollout;
  const end = prefetch?.until === undefined ? '' : ` until ${new Date(prefetch.until).toISOString()}`;
  const detail = `files travel to ${totals(rollout).sites} sites${end}; no site has been changed`;
  const situation = moving(rollout, 'lets its files travel', detail);
  const now = `foothold promote ${label} --reason …`;
  return {
    ...situation,
    otherwise: {
      ...situation.otherwise,
      unblocks: 'its time, or a person who promotes it: the first wave begins then, and who has no files fetches them',
      next: [...situation.otherwise.next, now],
    },
  };
}

function progressText(rollout: RolloutStatus): string {
  const { sites, confirmed, failed, owed } = totals(rollout);
  const stage = currentStage(rollout);
  const where = stage ? `stage ${stage.name} wave ${stage.wave} of ${stage.waves}: ` : '';
  const gate = stage?.gate ? `; gate so far ${stage.gate.verdict} ${stage.gate.reason.code}` : '';
  return `${where}${confirmed} of ${sites} sites confirmed, ${failed} failed, ${owed} owed${gate}`;
}

function undoText(rollout: RolloutStatus): string {
  const why = rollout.reason ? `${rollout.reason.code} (${rollout.reason.detail}); ` : '';
  return `${why}${rollout.owedReverts.length} sites have not answered the undo yet`;
}

type Ended = (rollout: RolloutStatus, subject: Subject) => Situation['otherwise'];
const startAgain = ({ strategy = 'STRATEGY', ...subject }: Subject): string =>
  `foothold start ${releaseOf(subject)} ${strategy} --reason …`;

const ENDED: Record<RolloutOutcome, Ended> = {
  promoted: ({ stream }) => ({
    unblocks: 'nothing: it is over; sites that were absent get it on their return',
    who: 'nobody has to',
    next: [`foothold owed ${stream}`],
  }),
  reverted: (_rollout, subject) => ({
    unblocks: 'a mended release under a new version, or a person lifting the block of this one',
    who: 'whoever made the release',
    next: [`foothold allow ${releaseOf(subject)} --reason …`, `foothold owed ${subject.stream}`],
  }),
  aborted: (_rollout, subject) => ({
    unblocks: 'a new rollout; sites that had confirmed keep the release',
    who: 'the person on duty',
    next: [startAgain(subject), `foothold owed ${subject.stream}`],
  }),
  refused: (_rollout, subject) => ({
    unblocks: 'what it was refused for being mended; no site was touched',
    who: 'whoever asked for the rollout',
    next: [startAgain(subject)],
  }),
  halted: ({ label }) => decision(label, true),
  terminated: (_rollout, subject) => ({
    unblocks: 'a new rollout; the sites finish alone what they had begun',
    who: 'the person on duty',
    next: [`foothold owed ${subject.stream}`, startAgain(subject)],
  }),
};

function sealedSituation(rollout: RolloutStatus, subject: Subject): Omit<Situation, 'subject'> {
  const outcome = rollout.outcome ?? 'terminated';
  const about = `rollout ${rollout.label} is sealed as ${outcome}`;
  return { about, reason: reasonOf(rollout), otherwise: ENDED[outcome](rollout, subject) };
}

function reasonOf({ reason, outcome, state }: RolloutStatus): Reason {
  if (reason) return reason;
  if (outcome === 'terminated') return { code: 'TERMINATED', detail: 'it was ended in Temporal' };
  return { code: 'NOT_RECORDED', detail: `${outcome ?? state}, and no reason with it` };
}
