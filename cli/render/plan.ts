/** A plan as a document (design §7, exactly) and as text. */
import type { Finding, Plan, PlanWave } from '../../policies/model/plan.js';
import { formatDuration } from '../../policies/model/duration.js';
import { harmless, type Paint } from './paint.js';
import { indent } from './table.js';

export interface PlanDocument {
  version: 1;
  digest: string;
  release: { stream: string; version: string; digest: string };
  stages: { name: string; waves: { sites: string[]; hold?: true }[] }[];
  excluded: { site: string; reason: string }[];
  findings: { site?: string; check: string; result: 'pass' | 'warn' | 'block'; code: string; reason: string }[];
}

/** A finding's `reason` is its detail in words; its code stands beside it. */
export function planDocument(plan: Plan, findings: Finding[]): PlanDocument {
  const { stream, version, digest } = plan.release;
  return {
    version: 1,
    digest: plan.digest,
    release: { stream, version, digest },
    stages: plan.stages.map(({ name, waves }) => ({ name, waves: waves.map(waveDocument) })),
    excluded: plan.excluded.map(({ site, reason }) => ({ site, reason })),
    findings: findings.map(({ site, check, result, code, detail }) => ({
      ...(site === undefined ? {} : { site }),
      check,
      result,
      code,
      reason: detail,
    })),
  };
}

function waveDocument(wave: PlanWave): { sites: string[]; hold?: true } {
  return { sites: wave.sites.map((site) => site.id), ...(wave.hold ? { hold: true as const } : {}) };
}

const SITES_SHOWN = 12;
const FINDINGS_SHOWN = 20;

export function planText(plan: Plan, findings: Finding[], paint: Paint): string {
  const sites = plan.stages.reduce((sum, stage) => sum + sitesOf(stage.waves), 0);
  const { stream, version, digest } = plan.release;
  const head = [
    `${paint('bold', `${stream}@${version}`)} to ${sites} sites in ${plan.stages.length} stages, by strategy ${plan.strategy.name}`,
    `release   ${digest}`,
    `plan      ${plan.digest}`,
    ...(plan.strategy.prefetch === undefined
      ? []
      : [`prefetch  files travel for ${formatDuration(plan.strategy.prefetch)} before the first switch`]),
    `on failure ${plan.strategy.onFailure}; a wait lasts ${formatDuration(plan.strategy.onInconclusive.within)}, then: ${plan.strategy.onInconclusive.then}`,
  ];
  const parts = [head.join('\n'), ...plan.stages.map((stage) => stageText(stage, paint))];
  if (plan.excluded.length > 0)
    parts.push(`left out\n${indent(limited(plan.excluded.map((one) => `${one.site}: ${one.reason}`)))}`);
  parts.push(findingsText(findings, paint));
  return `${parts.join('\n\n')}\n`;
}

function stageText(stage: Plan['stages'][number], paint: Paint): string {
  const count = sitesOf(stage.waves);
  const gate =
    stage.gate.name === 'none' && 'because' in stage.gate
      ? `no gate, because ${stage.gate.because}`
      : `gate ${stage.gate.name} over ${formatDuration(stage.soak)}`;
  const terms = `${count} ${count === 1 ? 'site' : 'sites'}, ${stage.concurrency} at a time, ${gate}, budget ${stage.budget.failed} failed / ${stage.budget.owed} owed`;
  if (count === 0) return `${paint('bold', stage.name)}  empty: passed over`;
  const waves = stage.waves.map((wave, index) => `wave ${index + 1}  ${waveText(wave)}`);
  return `${paint('bold', stage.name)}  ${terms}\n${indent(waves.join('\n'))}`;
}

function waveText({ sites, hold }: PlanWave): string {
  if (hold) return 'waits here until someone promotes';
  const names = sites
    .slice(0, SITES_SHOWN)
    .map((site) => site.id)
    .join(' ');
  return sites.length > SITES_SHOWN ? `${names} … ${sites.length} in all` : names;
}

function sitesOf(waves: PlanWave[]): number {
  return waves.reduce((sum, wave) => sum + wave.sites.length, 0);
}

function findingsText(findings: Finding[], paint: Paint): string {
  const count = (result: Finding['result']): number => findings.filter((one) => one.result === result).length;
  const counts = `preflight: ${count('pass')} pass, ${count('warn')} warn, ${count('block')} block`;
  const worth = [
    ...findings.filter((one) => one.result === 'block'),
    ...findings.filter((one) => one.result === 'warn'),
  ];
  const lines = worth.map((one) => {
    const word = one.result === 'block' ? paint('red', 'block') : paint('yellow', 'warn ');
    return `${word}  ${one.site ?? 'release'}  ${one.code}: ${harmless(one.detail)}`;
  });
  return lines.length === 0 ? counts : `${counts}\n${indent(limited(lines, FINDINGS_SHOWN))}`;
}

function limited(lines: string[], most = SITES_SHOWN): string {
  return lines.length <= most
    ? lines.join('\n')
    : [...lines.slice(0, most), `… and ${lines.length - most} more`].join('\n');
}
