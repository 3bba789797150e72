/** A revert that was accepted is carried out, whatever is asked for after it. */
import type { RolloutFacts, SeedFacts } from './facts.js';
import { commandsOf, ownerOf, resultsOf } from './site-logs.js';

/** Nobody may take it back, and whoever was commanded is undone or owes its undo. What is terminated commands nobody any more. */
export function judgeReverts(facts: SeedFacts): string[] {
  return facts.rollouts.flatMap((rollout) => {
    const { evidence, status } = rollout;
    const accepted = evidence.some(({ kind, data }) => kind === 'verb' && data['verb'] === 'revert');
    if (!accepted || status.state !== 'sealed' || status.outcome === 'terminated') return [];
    const taken = `${status.label} accepted a revert and ended ${status.outcome ?? '?'} (${status.reason?.code ?? '?'})`;
    return [...(status.outcome === 'reverted' ? [] : [taken]), ...judgeUndone(facts, rollout)];
  });
}

function judgeUndone(facts: SeedFacts, rollout: RolloutFacts): string[] {
  const { firstRunId, evidence, status } = rollout;
  const sealed = evidence.findLast(({ kind }) => kind === 'sealed')?.at ?? Infinity;
  return commandedBy(facts, rollout).flatMap((site) => {
    const answers = resultsOf(facts.sites[site] ?? []).filter(({ verb, commandId }) => {
      return verb === 'revert' && ownerOf(commandId) === firstRunId;
    });
    const forgotten = [facts.debtsAtSeal, facts.debtsAtEnd].some(({ at, debts }) => {
      const owes = debts.some((debt) => {
        return debt.verb === 'revert' && debt.site === site && debt.firstRunId === firstRunId;
      });
      return sealed <= at && !owes && !answers.some((answer) => answer.at <= at);
    });
    return forgotten ? [`${site} was commanded by ${status.label}, and neither undid it nor owes that`] : [];
  });
}

/**
 * By the site's own log, or by the registry unless its command was taken back before it was scheduled. A box that was put
 * in the place of another was never commanded.
 */
function commandedBy(facts: SeedFacts, { firstRunId, commanded }: RolloutFacts): string[] {
  const told = Object.keys(facts.sites).filter((site) =>
    commandsOf(facts.sites[site] ?? []).some(({ id, verb }) => verb === 'converge' && ownerOf(id) === firstRunId),
  );
  const replaced = new Set(facts.replacements.map(({ site }) => site));
  const rows = commanded.filter(({ outcome }) => outcome?.outcome !== 'untouched').map(({ site }) => site);
  return [...new Set([...told, ...rows])].filter((site) => !replaced.has(site));
}
