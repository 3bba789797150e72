/** Whether a report speaks for its site at the centre (docs/decisions/0003). */
import { FIRST_EPOCH, type EnrolmentToken, type SiteIdentity } from '../model/enrolment.js';
import type { SiteReport } from '../model/report.js';
import type { Reason } from '../model/verdict.js';

/** What the centre holds of the journal that the report is about. */
export interface KnownJournal {
  /** An event of the delivery, or the head that the report names, is not the one that the centre has. */
  forkedAt?: number;
}

/**
 * `speaks`: believed. `bind`: believed, and its instance is the site's from now on. `adopt`: a token that this centre
 * signed proves more than the registry knows, which therefore is the older of the two. `refused`: noted, and nothing of it is believed.
 * `doubt`: refused too, and nothing is begun at the site until it is clear who speaks for it.
 */
export type Speaker =
  { kind: 'speaks' } | { kind: 'bind' } | { kind: 'adopt' } | { kind: 'refused' | 'doubt'; reason: Reason };

/** The token that a report brings, if a key of this centre has signed it: reports themselves are signed by nobody. */
export type ProvenToken = Pick<EnrolmentToken, 'id' | 'site' | 'epoch'>;

/** `identity` undefined: the site was never enrolled, replaced or retired. `now`: epoch ms. */
export function judgeSpeaker(
  identity: SiteIdentity | undefined,
  report: Pick<SiteReport, 'site' | 'epoch' | 'enrolment'>,
  journal: KnownJournal,
  proven: ProvenToken | undefined,
  now: number,
): Speaker {
  const known = identity ?? { site: report.site, epoch: FIRST_EPOCH };
  if (known.retired) return refused('SITE_RETIRED', `retired by ${known.retired.by}: ${known.retired.reason}`);
  if (report.epoch < known.epoch) {
    return refused('WRONG_EPOCH', `the agent is of epoch ${report.epoch}, the site of epoch ${known.epoch}`);
  }
  // Only a token that the centre signed raises an agent's epoch: the registry has been put back (fault O3).
  if (report.epoch > known.epoch) return judgeAdoption(report, proven);
  const ofToken = judgeToken(known, report, proven, now);
  if (ofToken.kind === 'refused' || journal.forkedAt === undefined) return ofToken;
  const detail = `event ${journal.forkedAt} is not the one that was recorded: a copied, restored or emptied data directory`;
  return { kind: 'doubt', reason: { code: 'JOURNAL_FORKED', detail } };
}

type Speaking = Pick<SiteReport, 'site' | 'epoch' | 'enrolment'>;

/** Whoever can send a report can write any epoch and any enrolment into it: without its token, neither is believed. */
function judgeAdoption({ site, epoch, enrolment }: Speaking, proven: ProvenToken | undefined): Speaker {
  if (proven?.site === site && proven.epoch === epoch && proven.id === enrolment?.tokenId) return { kind: 'adopt' };
  const claimed = enrolment === undefined ? 'no enrolment' : `token ${enrolment.tokenId}`;
  const detail = `the agent claims epoch ${epoch} with ${claimed}, which the registry does not know and no token signed by this centre proves`;
  return refused('ENROLMENT_UNKNOWN', detail);
}

function judgeToken(known: SiteIdentity, report: Speaking, proven: ProvenToken | undefined, now: number): Speaker {
  const { token, instance } = known;
  const { enrolment } = report;
  if (token === undefined || enrolment === undefined) return judgeUntold(known, report, proven);
  if (enrolment.tokenId !== token.id) {
    return refused('ENROLMENT_UNKNOWN', `expected token ${token.id}, the agent was enrolled with ${enrolment.tokenId}`);
  }
  if (instance === undefined) {
    if (now <= token.expiresAt) return { kind: 'bind' };
    const since = new Date(token.expiresAt).toISOString();
    return refused('ENROLMENT_EXPIRED', `token ${token.id} was good until ${since}, and was never reported before`);
  }
  if (instance === enrolment.instance) return { kind: 'speaks' };
  return refused('ENROLMENT_USED', `token ${token.id} is that of instance ${instance}, not of ${enrolment.instance}`);
}

/** Without a token at the centre, or without an enrolment in the report. */
function judgeUntold(
  { epoch, token, instance }: SiteIdentity,
  report: Speaking,
  proven: ProvenToken | undefined,
): Speaker {
  if (token === undefined) {
    // The registry has been put back to before the token was issued: what the token says is the later word.
    return report.enrolment === undefined ? { kind: 'speaks' } : judgeAdoption(report, proven);
  }
  // A token that nobody has used yet does not silence the agent that has spoken for the first epoch so far.
  if (instance === undefined && epoch === FIRST_EPOCH) return { kind: 'speaks' };
  return refused('ENROLMENT_UNKNOWN', `expected an agent enrolled with token ${token.id}, this one was not enrolled`);
}

function refused(code: Reason['code'], detail: string): Speaker {
  return { kind: 'refused', reason: { code, detail } };
}
