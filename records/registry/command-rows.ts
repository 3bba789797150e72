/** A command as a row, and a row as what is known of a command. */
import type { SiteState } from '../../policies/model/command.js';
import type { SiteOutcome } from '../../policies/model/rollout.js';
import type { CommandFacts } from './command-facts.js';
import type { CommandRow } from './tables.js';

/** How the row says that a command was never received: null says that nothing was recorded. */
const NEVER_RECEIVED = '';

export function factsOf(row: CommandRow): CommandFacts {
  return {
    firstRunId: row.first_run_id,
    site: row.site,
    commandId: row.command_id,
    verb: row.verb,
    try: row.try,
    stage: row.stage,
    wave: row.wave,
    recordedAt: row.recorded_at,
    ...(row.switch_by !== null && { switchBy: row.switch_by }),
    ...(row.scheduled_at !== null && { scheduledAt: row.scheduled_at }),
    ...(row.carrier !== null && { carrier: row.carrier }),
    ...(row.state !== null && { state: stateOf(row.state) }),
    ...(row.result !== null && { result: JSON.parse(row.result) as NonNullable<CommandFacts['result']> }),
    ...(row.later !== null && { later: JSON.parse(row.later) as NonNullable<CommandFacts['later']> }),
    ...(row.disposition !== null && { disposition: JSON.parse(row.disposition) as SiteOutcome }),
  };
}

export function stateOf(text: string): SiteState | null {
  return text === NEVER_RECEIVED ? null : (text as SiteState);
}

export function stateText(state: SiteState | null | undefined): string | null {
  return state === undefined ? null : (state ?? NEVER_RECEIVED);
}

export function rowOf(facts: CommandFacts): CommandRow {
  const text = (value: unknown): string | null => (value === undefined ? null : JSON.stringify(value));
  return {
    first_run_id: facts.firstRunId,
    site: facts.site,
    command_id: facts.commandId,
    verb: facts.verb,
    try: facts.try,
    stage: facts.stage,
    wave: facts.wave,
    switch_by: facts.switchBy ?? null,
    scheduled_at: facts.scheduledAt ?? null,
    state: stateText(facts.state),
    result: text(facts.result),
    later: text(facts.later),
    disposition: text(facts.disposition),
    recorded_at: facts.recordedAt,
    carrier: facts.carrier ?? null,
  };
}
