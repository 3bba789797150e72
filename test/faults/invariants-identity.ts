/** Who commands and who is commanded: rollouts that gave way, agents of an earlier epoch, control keys that were left behind. */
import type { SeedFacts } from './facts.js';
import { commandsOf, ownerOf } from './site-logs.js';

export function judgeSuperseded(facts: SeedFacts): string[] {
  return facts.rollouts.flatMap(({ firstRunId, evidence, status }) => {
    const over = evidence.find(({ kind }) => kind === 'superseded')?.at;
    if (over === undefined) return [];
    const late = Object.values(facts.sites).flatMap((log) =>
      commandsOf(log).filter(({ id, issuedAt }) => ownerOf(id) === firstRunId && issuedAt > over),
    );
    const owed = facts.debtsAtEnd.debts.filter((debt) => debt.firstRunId === firstRunId && debt.verb === 'converge');
    return [
      ...late.map(({ id }) => `${id} was issued after ${status.label} had given way`),
      ...owed.map(({ site }) => `${site} is still owed ${status.label}, which gave way`),
    ];
  });
}

/** An undo may be issued with the registry away, from what was known before; a converge may not. */
export function judgeEpochs(facts: SeedFacts): string[] {
  return Object.entries(facts.sites).flatMap(([site, log]) => {
    const replaced = facts.replacements.filter((one) => one.site === site);
    return log.flatMap((entry) => {
      if (entry.kind !== 'command' && entry.kind !== 'refused') return [];
      const { id, verb, issuedAt, epoch = 1 } = entry.command;
      const found: string[] = [];
      if (entry.kind === 'command' && epoch !== entry.epoch) {
        found.push(`${id} is for epoch ${epoch} of ${site} and was taken in by an agent of epoch ${entry.epoch}`);
      }
      const since = replaced.findLast(({ at }) => at < issuedAt);
      if (verb === 'converge' && since && epoch < since.epoch) {
        found.push(`${id} is for epoch ${epoch}, and was issued after ${site} was of epoch ${since.epoch}`);
      }
      return found;
    });
  });
}

export function judgeBelieved({ replacements, believed }: SeedFacts): string[] {
  return replacements.flatMap(({ site, epoch }) => {
    const reported = believed[site];
    if (reported === undefined || reported >= epoch) return [];
    return [`the centre believes a report of epoch ${reported} of ${site}, which is of epoch ${epoch}`];
  });
}

export function judgeKeys(facts: SeedFacts): string[] {
  return Object.values(facts.sites).flatMap((log) =>
    log.flatMap((entry) => {
      if (entry.kind !== 'command' || entry.command.verb !== 'converge') return [];
      const { id, issuedAt } = entry.command;
      return facts.rotations
        .filter(({ oldKeyId, at }) => issuedAt > at && entry.signedBy.includes(oldKeyId))
        .map(({ oldKeyId }) => `${id} was signed by ${oldKeyId} after its rotation had ended`);
    }),
  );
}
