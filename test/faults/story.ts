/** What happened in a seed, in order: what the harness did, what each site did, what the evidence says. */
import { transcriptOf } from '../../policies/rollout/transcript.js';
import type { SiteEntry } from './facts.js';
import type { SeedOutcome } from './scenario.js';

export function tellStory({ seed, plan, story, facts, violations }: SeedOutcome, tell: (line: string) => void): void {
  const { sites, gates, faults, onFailure, thenInconclusive, freeze, closing, continueAfter } = plan;
  tell(`\nseed ${seed}: on failure ${onFailure}, on a wait that ends ${thenInconclusive}, a person would ${closing}`);
  tell(`  gates ${JSON.stringify(gates)}${freeze ? `, freeze ${JSON.stringify(freeze)}` : ''}`);
  for (const { id, risk, script, dark, group } of sites) {
    const fate = Object.values(script.fates).join();
    tell(
      `  ${id} ${risk} ${fate}${dark ? ` dark ${JSON.stringify(dark)}` : ''}${group === undefined ? '' : ' paired'}`,
    );
  }
  if (continueAfter !== undefined) tell(`  continues as new after ${continueAfter} events`);
  for (const fault of faults) tell(`  fault ${JSON.stringify(fault)}`);
  tell('what was done');
  for (const line of story) tell(`  ${line}`);
  for (const { status, evidence } of facts.rollouts.toReversed()) {
    tell(`evidence of ${status.label}: ${status.outcome ?? status.state} ${status.reason?.code ?? ''}`);
    for (const line of transcriptOf(evidence)) tell(`  ${line}`);
  }
  const start = Math.min(...Object.values(facts.sites).flatMap((log) => log.map((entry) => entry.at)));
  for (const [site, log] of Object.entries(facts.sites)) {
    tell(`log of ${site}`);
    for (const entry of log) tell(`  ${((entry.at - start) / 1_000).toFixed(2).padStart(7)} s  ${wordsOf(entry)}`);
  }
  for (const { invariant, detail } of violations) tell(`VIOLATED ${invariant}: ${detail}`);
}

function wordsOf(entry: SiteEntry): string {
  if (entry.kind === 'command') {
    const { verb, rollout, generation, try: tries, releaseVersion } = entry.command;
    return `${entry.judged} ${verb} of ${rollout} (${releaseVersion}), generation ${generation}, try ${tries}`;
  }
  if (entry.kind === 'replaced') return `a new box of epoch ${entry.epoch} is in its place`;
  if (entry.kind === 'refused')
    return `refused ${entry.command.verb} of ${entry.command.rollout}: ${entry.reason.code}`;
  if (entry.kind === 'switch') return `switch by ${entry.why}: ${entry.from.slice(7, 15)} → ${entry.to.slice(7, 15)}`;
  const { verb, result, reason, changed } = entry.result;
  return `${verb} ${result}${changed ? '' : ', nothing changed'}${reason ? ` ${reason.code}` : ''}`;
}
