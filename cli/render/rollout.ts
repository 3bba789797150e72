/** A rollout as text: its headline, the stages, the sites that need a look. */
import { tallyOf } from '../../policies/rollout/budget.js';
import type { RolloutStatus, SiteOutcome, StageStatus } from '../../policies/model/rollout.js';
import type { WaveProgress } from '../live.js';
import { headline, reasonText, type View } from './headline.js';
import { harmless, plain, type Colour, type Paint } from './paint.js';
import { bar, indent, table } from './table.js';
import { clock, span } from './times.js';

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

/** `of`: how many there are in all, where `sites` are only the first. */
export function problemTable(sites: SiteOutcome[], view: View, of?: number): string {
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
  const left = (of ?? problems.length) - rows.length;
  const more = left > 0 ? `… and ${left} more (--json lists all)\n` : '';
  return `${table(['SITE', 'STAGE/WAVE', 'OUTCOME', 'AT', 'REASON'], rows)}${more}`;
}

function siteReason(site: SiteOutcome): string {
  const cause = site.cause === undefined ? '' : `${site.cause}: `;
  const reason = site.reason ? `${cause}${reasonText(site.reason)}` : cause;
  if (site.state === null) return `${reason} command never received`.trim();
  return site.state === undefined ? reason : `${reason} last seen ${site.state}`.trim();
}

/** One line a wave of the stage that something happens in. */
export function waveTable(waves: WaveProgress[]): string {
  const now = waves.find(({ settled, sites }) => settled < sites);
  const rows = waves.map((wave) => [
    String(wave.wave),
    wave.hold
      ? 'waits here until someone promotes'
      : `${bar(wave.settled, wave.sites, 20)} ${wave.settled}/${wave.sites}`,
    wave === now ? '<' : '',
  ]);
  return table(['WAVE', 'SETTLED', ''], rows, ['WAVE']);
}

/** The whole of `status ROLLOUT` for people. `of`: how many sites need a look, where `sites` are only the first. */
export function rolloutText(
  rollout: RolloutStatus,
  sites: SiteOutcome[],
  view: View,
  { of, waves = [] }: { of?: number; waves?: WaveProgress[] } = {},
): string {
  const about = [
    `rollout   ${rollout.label}  (workflow ${rollout.workflowId})`,
    `release   ${rollout.stream}@${rollout.release.version}  ${rollout.release.digest}`,
    `strategy  ${rollout.strategy}${rollout.wait ? `, owner ${harmless(rollout.wait.owner)}` : ''}`,
    `plan      ${rollout.planDigest}`,
    `started   ${clock(rollout.startedAt, view.now, view.zone)}, last recorded ${span(view.now - rollout.updatedAt)} ago`,
  ].join('\n');
  const problems = problemTable(sites, view, of);
  const owed = rollout.owedReverts;
  return [
    headline(rollout, view),
    about,
    stageTable(rollout.stages, view.paint).trimEnd(),
    waves.length < 2 ? '' : `waves of ${waves[0]?.stage ?? ''}\n${indent(waveTable(waves)).trimEnd()}`,
    problems === '' ? '' : `sites that need a look\n${indent(problems).trimEnd()}`,
    owed.length === 0
      ? ''
      : `owed reverts (delivered when the site returns; they never expire)\n  ${owed.slice(0, SHOWN).join(', ')}${owed.length > SHOWN ? ` … and ${owed.length - SHOWN} more` : ''}`,
  ]
    .filter((part) => part !== '')
    .join('\n\n')
    .concat('\n');
}
