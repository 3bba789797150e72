/** What must hold at each site: who commands it, in which order, and how far back it goes. */
import type { SeedFacts } from './facts.js';
import { commandsOf, ownerOf, resultsOf } from './site-logs.js';

/** When a rollout gave its sites away: its seal, else the end of its last run. */
function overAt(facts: SeedFacts, firstRunId: string): number {
  const rollout = facts.rollouts.find((one) => one.firstRunId === firstRunId);
  const sealed = rollout?.evidence.find((entry) => entry.kind === 'sealed')?.at;
  if (sealed !== undefined) return sealed;
  const runs = facts.runs.filter((run) => run.workflowId === rollout?.workflowId);
  return runs.some((run) => run.running) ? Infinity : Math.max(0, ...runs.map((run) => run.closedAt ?? 0));
}

export function judgeOwners(facts: SeedFacts): string[] {
  return Object.entries(facts.sites).flatMap(([site, log]) => {
    const commands = commandsOf(log).toSorted((a, b) => a.issuedAt - b.issuedAt);
    const converges = commands.filter(({ verb }) => verb === 'converge');
    const found: string[] = [];
    for (const [index, next] of converges.entries()) {
      const before = converges[index - 1];
      if (!before || ownerOf(before.id) === ownerOf(next.id)) continue;
      const over = overAt(facts, ownerOf(before.id));
      if (next.issuedAt < over) found.push(`${site}: ${next.id} was issued while ${before.rollout} was not over`);
    }
    for (const revert of commands.filter(({ verb }) => verb === 'revert')) {
      const answered = resultsOf(log).find((result) => result.commandId === revert.id)?.at ?? Infinity;
      const between = converges.filter(({ id, issuedAt }) => {
        return ownerOf(id) !== ownerOf(revert.id) && issuedAt > revert.issuedAt && issuedAt < answered;
      });
      found.push(...between.map(({ id }) => `${site}: ${id} was issued while ${revert.id} was owed`));
    }
    return found;
  });
}

export function judgeOrder(facts: SeedFacts): string[] {
  return Object.entries(facts.sites).flatMap(([site, log]) => {
    const commands = commandsOf(log);
    const reverts = commands.filter(({ verb }) => verb === 'revert');
    return commands.flatMap((converge) => {
      if (converge.verb !== 'converge') return [];
      const own = reverts.filter((revert) => ownerOf(revert.id) === ownerOf(converge.id));
      const first = Math.min(Infinity, ...own.map((revert) => revert.issuedAt));
      return converge.issuedAt > first ? [`${site}: ${converge.id} was issued after the revert of its rollout`] : [];
    });
  });
}

/** Every switch builds on what is live, and every undo goes back to what was live before it: no further. */
export function judgeDepth(facts: SeedFacts): string[] {
  return Object.entries(facts.sites).flatMap(([site, log]) => {
    const releases = [facts.before];
    const found: string[] = [];
    for (const entry of log) {
      // A new box has only what it came with to go back to.
      if (entry.kind === 'replaced') releases.splice(0, releases.length, entry.live);
      if (entry.kind !== 'switch') continue;
      if (entry.from !== releases.at(-1)) found.push(`${site}: left ${entry.from}, and ${releases.at(-1)} was live`);
      if (entry.why === 'converge') releases.push(entry.to);
      else {
        releases.pop();
        if (entry.to !== releases.at(-1)) {
          found.push(
            `${site}: ${entry.commandId} went back to ${entry.to}, before was ${releases.at(-1) ?? 'nothing'}`,
          );
        }
        const asked = commandsOf(log).find(({ id, verb }) => id === entry.commandId && verb === 'revert');
        if (asked && asked.digest !== entry.from)
          found.push(`${site}: ${asked.id} undid ${entry.from}, which it did not name`);
      }
    }
    return found;
  });
}
