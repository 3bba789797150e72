/**
 * By code: what would unblock it, who can, and the command that fits it best. A code without an entry is answered by the
 * state that it is found in. Sites, links and metrics are mended where they are: there the command says how to look.
 */
import type { ReasonCode } from '../../policies/model/reasons.js';
import type { Subject } from './explanation.js';

export interface Advice {
  unblocks: string | ((subject: Subject) => string);
  who: string;
  next?: (subject: Subject) => string[];
  /** What the state offers and this code refuses, by how the command begins. */
  never?: (subject: Subject) => string[];
}

const METRICS = 'whoever runs Prometheus and the exporters';
const LINK = 'whoever runs the site’s link; nobody has to act in Foothold';
const RETURN = 'whoever runs the site’s link; while the rollout goes on, the person on duty';
const AUTHOR = 'whoever made the release';
const AT_SITE = 'a person at the site';
const ITSELF = 'nobody has to: it happens by itself';
const CENTRE = 'whoever runs the control worker';
const DUTY = 'the person on duty';

const allowSite = ({ stream, version, site }: Subject): string[] => [
  `foothold allow ${stream}@${version}${site === undefined ? '' : ` --site ${site}`} --reason …`,
];
const showSite = ({ site }: Subject): string[] => (site === undefined ? [] : [`foothold site show ${site}`]);
const again = ({ stream, version, strategy = 'STRATEGY' }: Subject): string[] => [
  `foothold start ${stream}@${version} ${strategy} --reason …`,
];
const planAgain = ({ stream, version, strategy = 'STRATEGY' }: Subject): string[] => [
  `foothold plan ${stream}@${version} ${strategy}`,
];
const ofStream = ({ stream }: Subject): string[] => [`foothold status ${stream}`];
const retryThere = ({ label, site }: Subject): string[] =>
  label === undefined ? [] : [`foothold retry ${label}${site === undefined ? '' : ` ${site}`} --reason …`];
const owedOf = ({ stream }: Subject): string[] => [`foothold owed ${stream}`];
/** Past its `settleBy` a site is not offered the command again by a rollout that goes on; catch-up offers it for ever. */
const retryWhileOpen = (subject: Subject): string[] => [
  ...(subject.stands === 'open' ? retryThere(subject) : []),
  ...showSite(subject),
];
function onReturn({ stands }: Subject): string {
  if (stands === undefined || stands === 'promoted') return 'the site’s link coming back: catch-up brings it then';
  return stands === 'open'
    ? 'the site’s link coming back, and then a person trying again: the rollout’s patience for it (settleBy) is over'
    : 'a new rollout: this one was not promoted, and brings it no more';
}
const doctor = (): string[] => ['foothold doctor'];

const gate = (unblocks: string, who = METRICS): Advice => ({ unblocks, who });
const refused = (unblocks: string, next: (subject: Subject) => string[] = planAgain): Advice => ({
  unblocks,
  who: 'whoever asked for the rollout',
  next,
});
const atSite = (unblocks: string, who = AT_SITE): Advice => ({ unblocks, who, next: showSite });
/** It failed there: first the cause, then a person lifts the quarantine. */
const failedThere = (unblocks: string, who = AUTHOR): Advice => ({
  unblocks: `${unblocks}; then a person allows it there again`,
  who,
  next: (subject) => [...showSite(subject), ...allowSite(subject)],
});

export const ADVICE: Partial<Record<ReasonCode, Advice>> = {
  // gate
  GATE_FAILED: gate('a release that measures better; promoting against a failure needs --override', AUTHOR),
  GATE_NO_DATA: gate('figures for the sites of the stage: exporters that are scraped, a query that names them'),
  GATE_NOT_A_NUMBER: gate('a query that gives a number, also without traffic'),
  GATE_SEVERAL_SERIES: gate('a query that sums to one series, or `series: per-site` in the strategy'),
  GATE_QUERY_FAILED: gate('Prometheus answering the query again'),
  GATE_EVALUATOR_FAILED: gate('a condition that can be evaluated, in the strategy', 'whoever wrote the strategy'),
  GATE_COVERAGE: gate('more of the confirmed sites in the figure: their exporters scraped, showing the new digest'),
  GATE_STOPPED_SHORT: gate('enough samples: the gate is judged again when the wait ends', DUTY),
  GATE_BETWEEN: gate('a person judging a value that lies between pass and fail', DUTY),
  SAMPLES_PREDATE_SWITCH: gate('one window of time after the switch, with the sites being scraped'),
  NO_CONFIRMED_SITE: {
    unblocks:
      'one site of the cohort confirming: tried again once its cause is mended or its link is back. It is never promoted without one',
    who: `${DUTY}, and whoever runs the sites’ links`,
    next: retryThere,
    never: ({ label }) => [`foothold promote ${label ?? ''}`],
  },
  // budget and waits
  BUDGET_FAILED: { unblocks: 'a person deciding that so many failures are borne, or an undo', who: DUTY },
  BUDGET_OWED: {
    unblocks:
      'a person trying again at sites that are back (it is judged again by itself then), or going on without them',
    who: 'whoever runs the sites’ links, and the person on duty',
    next: retryThere,
  },
  WAVE_HELD: { unblocks: 'a person promoting: the strategy asks for one here', who: DUTY },
  WAIT_EXPIRED: { unblocks: 'a person deciding: the wait is over, and nothing promotes by itself', who: DUTY },
  LOCK_LOST: { unblocks: 'the other rollout of the stream ending', who: DUTY, next: ofStream },
  RUN_WAS_RESET: {
    unblocks: 'a person deciding whether this run goes on: sites may know more than it does',
    who: DUTY,
  },
  // refusals
  STREAM_LOCKED: refused('the other rollout of the stream ending, or this one taking its place', (subject) => [
    ...ofStream(subject),
    `foothold start ${subject.stream}@${subject.version} ${subject.strategy ?? 'STRATEGY'} --supersede ROLLOUT --reason …`,
  ]),
  BAD_INPUT: refused('input of the form {"release": "<stream>@<version>", "strategy": "<name>"}', again),
  PLAN_CHANGED: refused('a look at the plan as it is now', planAgain),
  PREFLIGHT_BLOCKED: refused('the findings that block being mended, or those sites being left out with --only'),
  RELEASE_NOT_FOUND: refused('the release being published', () => ['foothold publish DIR']),
  STRATEGY_NOT_FOUND: refused('a strategy of that name', () => ['foothold validate FILE']),
  SITE_IN_NO_STAGE: refused('a last stage without `select`, which takes all that are left'),
  SELECTOR_EMPTY: refused('a selector that matches an active site of the stream', () => ['foothold fleet list']),
  DEPOT_UNREACHABLE: { unblocks: 'the depot answering', who: CENTRE, next: doctor },
  BEGIN_FAILED: { unblocks: 'the cause that is named here being mended', who: CENTRE, next: again },
  SUPERSEDE_TOO_NARROW: refused('a plan that holds every site that the other rollout commanded and that is not back'),
  WORKFLOW_UNKNOWN: { unblocks: 'nothing brings it back: its sites finish alone', who: DUTY, next: owedOf },
  // catch-up
  CATCH_UP_WAITS: { unblocks: 'the next turn of catch-up', who: ITSELF, next: owedOf },
  CATCH_UP_FAILED: {
    unblocks: 'the cause at the site being mended; then a person tries again',
    who: DUTY,
    next: (subject) => [...showSite(subject), ...retryThere(subject)],
  },
  CATCH_UP_STOPPED: { unblocks: 'a person trying again', who: DUTY, next: retryThere },
  PLAN_LOST: { unblocks: 'a new rollout of the release: the plan it belonged to is gone', who: DUTY, next: again },
  OWED_REVERT: { unblocks: 'the site’s answer to the undo that it still owes', who: LINK, next: owedOf },
  FROZEN: {
    unblocks: 'the end of the freeze, or a person lifting it',
    who: DUTY,
    next: () => ['foothold freeze --list'],
  },
  MAINTENANCE: {
    unblocks: 'the site being `active` again in the fleet file',
    who: 'whoever keeps the fleet file',
    next: showSite,
  },
  SITE_RETIRED: { unblocks: 'nothing: the site was retired', who: ITSELF, next: showSite },
  // who speaks for a site
  WRONG_EPOCH: atSite('the agent of the present epoch: the site was replaced'),
  ENROLMENT_USED: atSite('a token of its own for this agent', DUTY),
  ENROLMENT_UNKNOWN: atSite('the agent being enrolled', DUTY),
  ENROLMENT_EXPIRED: atSite('a new enrolment token', DUTY),
  ENROLMENT_INVALID: atSite('an enrolment token that is for this site', DUTY),
  JOURNAL_FORKED: atSite('one data directory for the site: then it is replaced', DUTY),
  KEYSET_REFUSED: atSite('control keys that follow from those which the site trusts', CENTRE),
  // preflight
  NOT_REPORTED: { unblocks: 'the site’s first report; it checks itself when the command arrives', who: LINK },
  REQUIRES_UNMET: atSite('the version that the release requires, at the site', 'whoever keeps the site up to date'),
  REQUIRES_UNKNOWN: atSite('the site reporting that version: `reports` in its agent.yaml'),
  CONFLICTS: atSite('the conflicting stream moving on first', DUTY),
  VARIABLE_MISSING: { unblocks: 'a value in the fleet file', who: 'whoever keeps the fleet file' },
  VARIABLE_TYPE: { unblocks: 'a value of the right type in the fleet file', who: 'whoever keeps the fleet file' },
  QUARANTINED: { unblocks: 'a person allowing the release there again', who: DUTY, next: allowSite },
  BLOCKED: {
    unblocks: 'a person lifting the block of the release',
    who: DUTY,
    next: ({ stream, version }) => [`foothold allow ${stream}@${version} --reason …`],
  },
  LKG_MISSING: atSite('something to go back to: foothold agent adopt, at the site'),
  // site
  CHECK_FAILED: failedThere('the cause of the failed check being mended'),
  DEADLINE_PASSED: failedThere('a release that confirms within its `confirm.within`'),
  UPLINK_LOST: {
    unblocks: 'the endpoints of the site’s uplink answering again, and then a person trying again or going on',
    who: DUTY,
    next: (subject) => [...showSite(subject), ...retryThere(subject)],
  },
  UPLINK_WAITS: atSite('an endpoint of the site’s uplink answering: it switches by itself then', LINK),
  UPLINK_UNDECLARED: atSite('endpoints under `uplink` in the site’s agent.yaml', 'whoever runs the site'),
  SWITCH_FAILED: failedThere('the component that could not be switched being mended'),
  BEFORE_FAILED: failedThere('the program of `before` ending with 0', AT_SITE),
  AFTER_FAILED: failedThere('the program of `after` ending with 0', AT_SITE),
  CRASH_IN_SWITCH: failedThere('knowing why the agent was interrupted while it switched', AT_SITE),
  RESTARTS: failedThere('knowing why the agent was restarted so often', AT_SITE),
  PERSON: { unblocks: 'the person at the site, who decided it', who: AT_SITE, next: showSite },
  ALREADY_SICK: atSite(
    'the site’s own checks passing before the switch, or another release than what was live there: it was sick already',
  ),
  STALE: { unblocks: 'nothing: a newer command was obeyed', who: ITSELF, next: ofStream },
  SUPERSEDED: { unblocks: 'nothing: a newer one took its place', who: ITSELF, next: ofStream },
  SWITCH_BY_PASSED: {
    unblocks: 'another try: the command arrived after the time by which it had to begin',
    who: DUTY,
    next: retryThere,
  },
  SIGNATURE_INVALID: atSite('the site pinning the control key that signs now'),
  DIGEST_MISMATCH: atSite('the depot serving what was published', CENTRE),
  STAGE_FAILED: atSite('the files arriving at the site: depot reachable from there, room on its disk'),
  HELD: {
    unblocks: 'the end of the hold, or the person who holds it lifting it, at the site or at the centre',
    who: 'whoever holds it',
    next: (subject) => [...showSite(subject), `foothold site unhold ${subject.site ?? 'SITE'} --reason …`],
  },
  SAFE_MODE: atSite('a person at the site: foothold agent revert STREAM, or foothold agent unhold STREAM'),
  OBSERVING: atSite('the agent being started without --observe'),
  REVERT_FAILED: atSite('a person at the site: the undo itself failed'),
  NOTHING_VERIFIED: atSite('a person at the site: nothing verified is there to go back to'),
  DISK_FULL: atSite('room on the disk of the site, for the release beside the reserve of its undo'),
  STORAGE_FAULT: atSite('the disk being repaired, and a person saying so there: foothold agent mended'),
  STORE_BROKEN: atSite('a disk that the agent can write'),
  // centre's view of a site
  UNREACHED: { unblocks: onReturn, who: RETURN, next: retryWhileOpen },
  NO_RESULT: {
    unblocks: 'the site’s link coming back: its result is journaled there, and told then',
    who: RETURN,
    next: retryWhileOpen,
  },
  GROUP_CHANGING: { unblocks: 'the other member of the redundancy group settling', who: ITSELF, next: showSite },
  TERMINATED: {
    unblocks: 'nothing brings it back: its sites finish alone, and what it still had to undo is delivered',
    who: DUTY,
    next: ({ stream }) => [`foothold owed ${stream}`],
  },
  COMMANDED: { unblocks: 'the site’s answer to the undo; an owed revert never expires', who: LINK, next: showSite },
};
