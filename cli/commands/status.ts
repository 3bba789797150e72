/** `status`: where a rollout stands. Reads the registry, so that it answers with Temporal down. */
import type { Command } from 'commander';
import type { Freeze } from '../../policies/model/debt.js';
import type { RolloutStatus } from '../../policies/model/rollout.js';
import type { Registry } from '../../records/registry/registry.js';
import { done, type Answer } from '../answer.js';
import type { Context } from '../context.js';
import type { Execute } from '../execute.js';
import { summarizeGates } from '../gates.js';
import { liveOf, stillOwed } from '../live.js';
import { motionOf, type Motion } from '../motion.js';
import { freezeLine } from '../render/freeze.js';
import { headline } from '../render/headline.js';
import { rolloutText } from '../render/rollout.js';
import { indent, table } from '../render/table.js';
import { span } from '../render/times.js';
import { findRollout } from '../rollouts.js';

export function declareStatus(program: Command, execute: Execute): void {
  program
    .command('status')
    .description('where a rollout stands, or all of them')
    .argument('[rollout]', 'its id, or the stream while only one runs')
    .action((reference: string | undefined, _flags: unknown, self: Command) =>
      execute(self, (context) => (reference === undefined ? statusOfAll(context) : statusOfOne(context, reference))),
    );
}

/** `{ rollout, sites, gate, findings, temporal?, missing? }`; sites, gate and findings are empty without the registry. */
export async function statusOfOne(context: Context, reference: string): Promise<Answer> {
  const found = await findRollout(context, reference);
  const { registry } = found;
  const live = registry ? await liveOf(registry, found.rollout) : undefined;
  const rollout = live?.rollout ?? found.rollout;
  const motion: Motion =
    rollout.state === 'sealed' ? { kind: 'unknown', because: 'sealed' } : await motionOf(context, rollout);
  if (context.flags.json === true) return done(await documentOf(rollout, registry, motion), '');
  const frozen = rollout.state === 'sealed' ? [] : ((await registry?.freezes(context.io.now())) ?? []);
  const remarks = [
    ...remarksOn(context, rollout, motion),
    ...frozen.map((one) => `frozen, no new switch there: ${freezeLine(one, context.io.now())}`),
    ...(registry ? [] : [NO_REGISTRY]),
  ];
  const view = { now: context.io.now(), paint: context.paint };
  const text = rolloutText(rollout, live?.problems.first ?? [], view, live ? { of: live.problems.of } : {});
  return done(null, [text, ...remarks.map((remark) => `${context.paint('dim', `note: ${remark}`)}\n`)].join(''));
}

/** Everything, for a script: ten thousand sites are read here, and not to show a person ten of them. */
async function documentOf(rollout: RolloutStatus, registry: Registry | undefined, motion: Motion): Promise<unknown> {
  const known = registry ? await readAll(registry, rollout) : { sites: [], gate: [], findings: [] };
  return {
    rollout,
    ...known,
    ...(rollout.state === 'sealed' ? {} : { temporal: motion }),
    ...(registry ? {} : { missing: ['sites', 'gate', 'findings'] }),
  };
}

const NO_REGISTRY =
  'no registry here: this is what the workflow itself knows; sites, samples and findings are missing (--registry, or run it where the control worker is)';

async function readAll(registry: Registry, rollout: RolloutStatus) {
  const [sites, samples, plan, findings, evidence] = await Promise.all([
    registry.siteRows(rollout.firstRunId),
    registry.samples(rollout.firstRunId),
    registry.frozenPlan(rollout.planDigest),
    registry.findings(rollout.firstRunId),
    registry.evidence(rollout.firstRunId),
  ]);
  return { sites, gate: summarizeGates(plan?.plan, samples, evidence), findings };
}

function remarksOn(context: Context, rollout: RolloutStatus, motion: Motion): string[] {
  if (rollout.state === 'sealed') return [];
  const age = span(context.io.now() - rollout.updatedAt);
  switch (motion.kind) {
    case 'runs':
      return [];
    case 'closed':
      return [`Temporal says ${motion.status}: the rollout is over though it was never sealed; its sites finish alone`];
    case 'not-found':
      return [
        `Temporal answers, and does not have this rollout; this is the record of ${age} ago; if it is lost for good: foothold abort ${rollout.label} --lost --reason …`,
      ];
    case 'unknown':
      return [`Temporal could not be asked; this is the record of ${age} ago`];
  }
}

const RECENT = 10;

/** Running rollouts, and the last that are over: `{ rollouts, freezes }`, newest first. */
export async function statusOfAll(context: Context): Promise<Answer> {
  // Without a project there is nothing to list, and saying so beats an empty list.
  if (context.flags.registry === undefined) context.projectPath();
  const registry = await context.registryIfHere();
  const rollouts = (await registry?.rollouts({ limit: 50 })) ?? [];
  const running = rollouts.filter((rollout) => rollout.state !== 'sealed');
  const over = rollouts.filter((rollout) => rollout.state === 'sealed').slice(0, RECENT);
  // As `status ROLLOUT` shows them: results are known before the rollout is told.
  const live = registry ? await Promise.all(running.map((one) => nowOf(registry, one))) : running;
  if (registry) for (const one of over) one.owedReverts = await stillOwed(registry, one);
  const shown = [...live, ...over];
  const freezes = (await registry?.freezes(context.io.now())) ?? [];
  return done({ rollouts: shown, freezes }, `${listText(context, live, shown)}${frozenText(context, freezes)}`);
}

async function nowOf(registry: Registry, rollout: RolloutStatus): Promise<RolloutStatus> {
  return (await liveOf(registry, rollout)).rollout;
}

function listText(context: Context, running: RolloutStatus[], shown: RolloutStatus[]): string {
  if (shown.length === 0) return 'no rollout yet · next: foothold start RELEASE STRATEGY';
  const view = { now: context.io.now(), paint: context.paint };
  const urgent = running.find((one) => one.state === 'waiting' || one.outcome === 'halted') ?? running[0] ?? shown[0];
  const rows = shown.map((one) => [
    one.label,
    one.state === 'sealed' ? (one.outcome ?? 'sealed') : one.state,
    `${one.stages.reduce((sum, stage) => sum + stage.confirmed, 0)}/${one.stages.reduce((sum, stage) => sum + stage.sites, 0)}`,
    String(one.owedReverts.length),
    one.strategy,
    `${span(view.now - one.startedAt)} ago`,
  ]);
  const list = table(['ROLLOUT', 'STATE', 'CONFIRMED', 'OWED REVERTS', 'STRATEGY', 'STARTED'], rows, [
    'CONFIRMED',
    'OWED REVERTS',
  ]);
  return `${urgent ? headline(urgent, view) : ''}\n\n${list}`;
}

function frozenText(context: Context, freezes: Freeze[]): string {
  if (freezes.length === 0) return '';
  const lines = freezes.map((one) => freezeLine(one, context.io.now()));
  return `\nfrozen: no new switch there, an undo never waits\n${indent(lines.join('\n'))}\n`;
}
