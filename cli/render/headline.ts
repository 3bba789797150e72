/** The first line of `status`: the one that matters at three in the morning (design §7). */
import type { RolloutOutcome, RolloutStatus, StageStatus, Wait } from '../../policies/model/rollout.js';
import type { Reason } from '../../policies/model/verdict.js';
import { harmless, type Colour, type Paint } from './paint.js';
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
    case 'prefetching': {
      const until = rollout.prefetch?.until;
      return [
        'blue',
        `PREFETCHING${until === undefined ? '' : ` until ${clock(until, view.now, view.zone)}`}`,
        `${rollout.stream} ${rollout.release.version}: files travel to ${totals(rollout).sites} sites`,
        'no site has been changed; promote begins now',
        next(`watch ${rollout.label}`),
      ];
    }
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
