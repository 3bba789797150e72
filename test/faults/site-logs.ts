/** What sites' own logs say, for the judges. */
import type { Command, Result } from '../../policies/model/command.js';
import type { SiteEntry } from './facts.js';

export function ownerOf(commandId: string): string {
  return commandId.split('/')[0] ?? '';
}

export function commandsOf(log: SiteEntry[]): Command[] {
  return log.flatMap((entry) => (entry.kind === 'command' ? [entry.command] : []));
}

export function resultsOf(log: SiteEntry[]): Result[] {
  return log.flatMap((entry) => (entry.kind === 'result' ? [entry.result] : []));
}

/** What was live at a site at an instant, by its own log. */
export function liveAt(log: readonly SiteEntry[], before: string, at = Infinity): string {
  const last = log.findLast((entry) => (entry.kind === 'switch' || entry.kind === 'replaced') && entry.at <= at);
  if (last?.kind === 'replaced') return last.live;
  return last?.kind === 'switch' ? last.to : before;
}
