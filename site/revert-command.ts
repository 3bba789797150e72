/** What a revert command is about, and the answer to one that has nothing to undo (docs/decisions/0011). */
import type { Command, Result } from '../policies/model/command.js';
import { undoesLive } from '../policies/site/decide-command.js';
import { resultOf } from './advance.js';
import type { SiteContext } from './context.js';
import type { CommandRow, HeldRow, StreamRow } from './store/rows.js';

/** What is being undone anyway, or was left stranded by an undo, is undone whoever asks for it. */
export function isUndoneBy(revert: Command, { trial }: StreamRow, live: HeldRow | undefined): boolean {
  const isUndone = trial?.undo !== undefined && trial.releaseId === live?.id && live.digest === revert.digest;
  return isUndone || undoesLive(revert, live);
}

/** Nothing is changed, and the result of the converge that is known is repeated. */
export function notLive(context: SiteContext, { command }: Pick<CommandRow, 'command'>, live?: HeldRow): Result {
  const known = context.store.latestConverge(command.stream, command.digest);
  return resultOf(context, command, {
    result: 'reverted',
    changed: false,
    cause: 'command',
    reason: { code: 'NOT_LIVE', detail: whyNot(context, command, live) },
    live,
    previous: known?.later ?? known?.result,
  });
}

function whyNot({ store }: SiteContext, command: Command, live: HeldRow | undefined): string {
  const { digest, releaseVersion, rollout } = command;
  if (live?.digest !== digest) return `${releaseVersion} is not live here${live ? `, ${live.version} is` : ''}`;
  const brought = live.switchedBy === undefined ? undefined : store.command(live.switchedBy)?.command;
  return `${live.version} was live here before ${rollout}, brought by ${brought?.rollout ?? 'another rollout'}: it stays`;
}
