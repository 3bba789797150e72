/** A rollout as text: the headline that matters at three in the morning, the stages, the sites that need a look. */
import { tallyOf } from '../../policies/rollout/budget.js';
import type { RolloutOutcome, RolloutStatus, SiteOutcome, StageStatus, Wait } from '../../policies/model/rollout.js';
import type { Reason } from '../../policies/model/verdict.js';
import { harmless, plain, type Colour, type Paint } from './paint.js';
import { bar, indent, table } from './table.js';
import { clock, span } from './times.js';

export interface View {
  now: number;
  paint: Paint;
  /** IANA zone or `local`; fixed in tests. */
  zone?: string;
}

const THEN: Record<Wait['then'], string> = {
  stay: 'stays',
  'revert-stage': 'reverts the stage',
  'revert-all': 'reverts everything',
};

/** One line: what it is, whose turn it is, by when, what happens otherwise, the next command. */
export function headline(rollout: RolloutStatus, view: View): string {
  const [colour, word, ...rest] = headlineParts(rollout, view);
  return [view.paint(colour, view.paint('bold', word)), ...rest.filter((part) => part !== '').map(harmless)].join(
    ' · ',
  );
}

type Parts = [colour: Colour, word: string, ...rest: string[]];

function headlineParts(rollout: RolloutStatus, view: View): Parts {
  const stage = currentStage(rollout);
  const where = stage ? `stage ${stage.name}` : `${rollout.stream} ${rollout.release.version}`;
  if (rollout.state === 'sealed') return sealedParts(rollout, view);
  if (rollout.outcome === 'halted') {
    return [
      'red',
      'NEEDS YOU',
      `${where} halted: ${reasonText(rollout.reason)}`,
      'stays until a person decides',
      decideNext(rollout),
    ];
  }
  switch (rollout.state) {
    case 'waiting':
      return waitingParts(rollout, where, view);
    case 'paused':
      return [
        'yellow',
        'PAUSED',
        `${where}${because(rollout.reason)}`,
        'nothing new begins, nothing is promoted',
        next(`resume ${rollout.label} --reason …`),
      ];
    case 'reverting':
      return [
        'red',
        'REVERTING',
        `${where}${because(rollout.reason)}`,
        owedText(rollout),
        next(`watch ${rollout.label}`),
      ];
    case 'gating': {
      const until = stage?.soakUntil === undefined ? '' : ` until ${clock(stage.soakUntil, view.now, view.zone)}`;
      return [
        'blue',
        `GATING${until}`,
        `${where}${waveText(stage)}`,
        counts(rollout),
        gateText(stage),
        next(`watch ${rollout.label}`),
      ];
    }
    case 'running':
      return ['blue', 'RUNNING', `${where}${waveText(stage)}`, counts(rollout), next(`watch ${rollout.label}`)];
    case 'planning':
    case 'preflight':
      return [
        'blue',
        rollout.state.toUpperCase(),
        `${rollout.stream} ${rollout.release.version}`,
        'no site has been touched',
        next(`watch ${rollout.label}`),
      ];
  }
}

function waitingParts(rollout: RolloutStatus, where: string, view: View): Parts {
  const wait = rollout.wait;
  if (!wait) return ['yellow', 'NEEDS YOU', `${where} waits${because(rollout.reason)}`, decideNext(rollout)];
  const by = wait.until === undefined ? '' : ` by ${clock(wait.until, view.now, view.zone)}`;
  const expiry =
    wait.until === undefined
      ? 'without a deadline'
      : `at ${clock(wait.until, view.now, view.zone)}: ${THEN[wait.then]}`;
  return [
    'yellow',
    `NEEDS YOU${by}`,
    `${where} waits: ${reasonText(wait.reason)}`,
    expiry,
    next(`explain ${rollout.label}`),
  ];
}

const SEALED: Record<RolloutOutcome, Colour> = {
  promoted: 'green',
  reverted: 'red',
  aborted: 'red',
  refused: 'red',
  halted: 'red',
  terminated: 'red',
};

function sealedParts(rollout: RolloutStatus, view: View): Parts {
  const outcome = rollout.outcome ?? 'terminated';
  const ended = `${rollout.stream} ${rollout.release.version} at ${clock(rollout.updatedAt, view.now, view.zone)} after ${span(rollout.updatedAt - rollout.startedAt)}`;
  const why = outcome === 'promoted' ? '' : reasonText(rollout.reason);
  const follow = outcome === 'promoted' ? '' : next(`explain ${rollout.label}`);
  const touched = outcome === 'refused' ? 'no site was touched' : counts(rollout);
  return [SEALED[outcome], outcome.toUpperCase(), why, touched, owedText(rollout), ended, follow];
}

function next(command: string): string {
  return `next: foothold ${command}`;
}
function decideNext(rollout: RolloutStatus): string {
  return next(`explain ${rollout.label}`);
}
function because(reason: Reason | undefined): string {
  return reason ? `: ${reasonText(reason)}` : '';
}

/** `GATE_NO_DATA (3 of 20 sites)`: the code first, because that is what the playbook is named after. */
export function reasonText(reason: Reason | undefined, longest = 90): string {
  if (!reason) return 'no reason was recorded';
  const detail = harmless(reason.detail);
  if (detail === '') return reason.code;
  return `${reason.code} (${detail.length > longest ? `${detail.slice(0, longest - 1)}…` : detail})`;
}

/** The stage that something happens in, else the last one that anything happened in. */
export function currentStage(rollout: RolloutStatus): StageStatus | undefined {
  const active = rollout.stages.find((stage) => ['running', 'gating', 'waiting'].includes(stage.state));
  return active ?? rollout.stages.findLast((stage) => stage.state !== 'untouched');
}

function waveText(stage: StageStatus | undefined): string {
  return stage && stage.waves > 1 ? ` wave ${stage.wave} of ${stage.waves}` : '';
}
function gateText(stage: StageStatus | undefined): string {
  return stage?.gate ? `gate so far: ${stage.gate.verdict} ${stage.gate.reason.code}` : '';
}
function owedText(rollout: RolloutStatus): string {
  const owed = rollout.owedReverts.length;
  return owed === 0 ? '' : `${owed} ${owed === 1 ? 'site still owes' : 'sites still owe'} a revert`;
}

export interface Totals {
  sites: number;
  confirmed: number;
  failed: number;
  owed: number;
}
export function totals(rollout: RolloutStatus): Totals {
  const sum: Totals = { sites: 0, confirmed: 0, failed: 0, owed: 0 };
  for (const stage of rollout.stages) {
    for (const key of ['sites', 'confirmed', 'failed', 'owed'] as const) sum[key] += stage[key];
  }
  return sum;
}
function counts(rollout: RolloutStatus): string {
  const { sites, confirmed, failed, owed } = totals(rollout);
  return `${confirmed} of ${sites} sites confirmed, ${failed} failed, ${owed} owed`;
}

/** One row a stage: how far it is and what its gate last said. */
export function stageTable(stages: StageStatus[], paint: Paint = plain): string {
  const rows = stages.map((stage) => [
    stage.name,
    paint(stageColour(stage), stage.state),
    `${stage.wave}/${stage.waves}`,
    `${bar(stage.confirmed, stage.sites, 10)} ${stage.confirmed}/${stage.sites}`,
    stage.failed > 0 ? paint('red', String(stage.failed)) : '0',
    stage.owed > 0 ? paint('yellow', String(stage.owed)) : '0',
    stage.gate ? `${stage.gate.verdict} ${reasonText(stage.gate.reason, 60)}` : '',
  ]);
  return table(['STAGE', 'STATE', 'WAVE', 'CONFIRMED', 'FAILED', 'OWED', 'GATE'], rows, ['WAVE', 'FAILED', 'OWED']);
}
function stageColour(stage: StageStatus): Colour {
  if (stage.state === 'promoted') return 'green';
  if (stage.state === 'reverted' || stage.state === 'stopped') return 'red';
  return stage.state === 'waiting' ? 'yellow' : stage.state === 'untouched' ? 'dim' : 'blue';
}

/** Sites that failed first, then those that are owed; what confirmed or was never touched is no problem. */
export function problemSites<T extends SiteOutcome>(sites: T[]): T[] {
  const rank = { failed: 0, owed: 1, uncounted: 2, confirmed: 3 } as const;
  return sites
    .filter((site) => site.outcome !== 'confirmed' && site.outcome !== 'untouched' && site.outcome !== 'superseded')
    .sort((a, b) => rank[tallyOf(a)] - rank[tallyOf(b)] || a.site.localeCompare(b.site));
}

const SHOWN = 10;

export function problemTable(sites: SiteOutcome[], view: View): string {
  const problems = problemSites(sites);
  if (problems.length === 0) return '';
  const rows = problems
    .slice(0, SHOWN)
    .map((site) => [
      site.site,
      `${site.stage}/${site.wave + 1}`,
      view.paint(tallyOf(site) === 'failed' ? 'red' : 'yellow', site.outcome),
      site.at === undefined ? '' : clock(site.at, view.now, view.zone),
      siteReason(site),
    ]);
  const more = problems.length > SHOWN ? `… and ${problems.length - SHOWN} more (--json lists all)\n` : '';
  return `${table(['SITE', 'STAGE/WAVE', 'OUTCOME', 'AT', 'REASON'], rows)}${more}`;
}

function siteReason(site: SiteOutcome): string {
  const cause = site.cause === undefined ? '' : `${site.cause}: `;
  const reason = site.reason ? `${cause}${reasonText(site.reason)}` : cause;
  if (site.state === null) return `${reason} command never received`.trim();
  return site.state === undefined ? reason : `${reason} last seen ${site.state}`.trim();
}

/** The whole of `status ROLLOUT` for people. */
export function rolloutText(rollout: RolloutStatus, sites: SiteOutcome[], view: View): string {
  const about = [
    `rollout   ${rollout.label}  (workflow ${rollout.workflowId})`,
    `release   ${rollout.stream}@${rollout.release.version}  ${rollout.release.digest}`,
    `strategy  ${rollout.strategy}${rollout.wait ? `, owner ${harmless(rollout.wait.owner)}` : ''}`,
    `plan      ${rollout.planDigest}`,
    `started   ${clock(rollout.startedAt, view.now, view.zone)}, last recorded ${span(view.now - rollout.updatedAt)} ago`,
  ].join('\n');
  const problems = problemTable(sites, view);
  const owed = rollout.owedReverts;
  return [
    headline(rollout, view),
    about,
    stageTable(rollout.stages, view.paint).trimEnd(),
    problems === '' ? '' : `sites that need a look\n${indent(problems).trimEnd()}`,
    owed.length === 0
      ? ''
      : `owed reverts (delivered when the site returns; they never expire)\n  ${owed.slice(0, SHOWN).join(', ')}${owed.length > SHOWN ? ` … and ${owed.length - SHOWN} more` : ''}`,
  ]
    .filter((part) => part !== '')
    .join('\n\n')
    .concat('\n');
}
