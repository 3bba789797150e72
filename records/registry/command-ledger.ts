/** Commands as rows: loaded, given further facts, and saved within one transaction. */
import type { Result, SiteState } from '../../policies/model/command.js';
import type { SiteOutcome } from '../../policies/model/rollout.js';
import { addResult, outcomeOf, readCommandId, type Arrival, type CommandFacts } from './command-facts.js';
import type { CommandRow, Tx } from './tables.js';

const ROWS_AT_ONCE = 200;

/** The commands that one transaction deals with. */
export class CommandLedger {
  readonly #facts = new Map<string, CommandFacts>();
  readonly #touched = new Set<CommandFacts>();
  readonly #looked = new Set<string>();

  async load(tx: Tx, commandIds: string[]): Promise<void> {
    const missing = [...new Set(commandIds)].filter((id) => !this.#looked.has(id));
    for (const id of missing) this.#looked.add(id);
    for (let from = 0; from < missing.length; from += ROWS_AT_ONCE) {
      const some = missing.slice(from, from + ROWS_AT_ONCE);
      const rows = await tx.selectFrom('commands').selectAll().where('command_id', 'in', some).execute();
      for (const row of rows) this.#facts.set(row.command_id, factsOf(row));
    }
  }

  get(commandId: string): CommandFacts | undefined {
    return this.#facts.get(commandId);
  }

  /** The facts of a command that are about to be changed, begun from `otherwise` if there are none. */
  touch(commandId: string, otherwise: () => CommandFacts): CommandFacts {
    const facts = this.#facts.get(commandId) ?? otherwise();
    this.#facts.set(commandId, facts);
    this.#touched.add(facts);
    return facts;
  }

  async save(tx: Tx): Promise<void> {
    await saveFacts(tx, [...this.#touched]);
    this.#touched.clear();
  }
}

export async function saveFacts(tx: Tx, facts: CommandFacts[]): Promise<void> {
  const rows = facts.map(rowOf);
  for (let from = 0; from < rows.length; from += ROWS_AT_ONCE) {
    await tx
      .insertInto('commands')
      .values(rows.slice(from, from + ROWS_AT_ONCE))
      .onConflict((conflict) =>
        conflict.columns(['first_run_id', 'site', 'command_id']).doUpdateSet((eb) => ({
          verb: eb.ref('excluded.verb'),
          stage: eb.ref('excluded.stage'),
          wave: eb.ref('excluded.wave'),
          switch_by: eb.ref('excluded.switch_by'),
          scheduled_at: eb.ref('excluded.scheduled_at'),
          state: eb.ref('excluded.state'),
          result: eb.ref('excluded.result'),
          later: eb.ref('excluded.later'),
          disposition: eb.ref('excluded.disposition'),
          recorded_at: eb.ref('excluded.recorded_at'),
        })),
      )
      .execute();
  }
}

/** A command that was not known before: of a site that answers, or that is about to be commanded. */
export function newFacts(
  firstRunId: string,
  site: string,
  commandId: string,
  place: { stage: string; wave: number },
  now: number,
): CommandFacts {
  const read = readCommandId(commandId);
  const { stage, wave } = place;
  const named = { verb: read?.verb ?? ('converge' as const), try: read?.try ?? 1 };
  return { firstRunId, site, commandId, ...named, stage, wave, recordedAt: now };
}

/** Of a command that nobody said was scheduled: a result that comes before its row, or after the registry was lost. */
export const UNKNOWN_PLACE = { stage: '', wave: 0 };

/** A result of a known command keeps its place; one of an unknown command was scheduled, else it would have none. */
export function addToLedger(
  ledger: CommandLedger,
  firstRunId: string,
  place: { stage: string; wave: number },
  result: Result,
  now: number,
): Arrival {
  const { commandId, site } = result;
  const facts = ledger.touch(commandId, () => scheduled(firstRunId, site, commandId, place, now));
  if (facts.stage === '') Object.assign(facts, place);
  const arrival = addResult(facts, result);
  if (arrival === 'first' || arrival === 'moved') facts.recordedAt = now;
  return arrival;
}

export function scheduled(
  firstRunId: string,
  site: string,
  commandId: string,
  place: { stage: string; wave: number },
  now: number,
) {
  return { ...newFacts(firstRunId, site, commandId, place, now), scheduledAt: now };
}

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
    ...(row.state !== null && { state: row.state === NEVER_RECEIVED ? null : (row.state as SiteState) }),
    ...(row.result !== null && { result: JSON.parse(row.result) as NonNullable<CommandFacts['result']> }),
    ...(row.later !== null && { later: JSON.parse(row.later) as NonNullable<CommandFacts['later']> }),
    ...(row.disposition !== null && { disposition: JSON.parse(row.disposition) as SiteOutcome }),
  };
}

const NEVER_RECEIVED = '';

function rowOf(facts: CommandFacts): CommandRow {
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
    state: facts.state === undefined ? null : (facts.state ?? NEVER_RECEIVED),
    result: text(facts.result),
    later: text(facts.later),
    disposition: text(facts.disposition),
    recorded_at: facts.recordedAt,
  };
}

/** For evidence and for whoever is told: what a command makes of its site, which it must have an answer for. */
export function outcomeKnown(facts: CommandFacts): SiteOutcome {
  const outcome = outcomeOf(facts);
  if (outcome === undefined) throw new Error(`the command ${facts.commandId} has no outcome`);
  return outcome;
}
