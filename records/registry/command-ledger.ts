/** Commands as rows: loaded, given further facts, and saved within one transaction. */
import type { Result } from '../../policies/model/command.js';
import type { SiteOutcome } from '../../policies/model/rollout.js';
import { addResult, outcomeOf, readCommandId, type Arrival, type CommandFacts } from './command-facts.js';
import { factsOf, rowOf } from './command-rows.js';
import { restand } from './standing.js';
import type { Tx } from './tables.js';

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

  /** With what follows from them: debts, standings, what sites keep. */
  async save(tx: Tx, now: number): Promise<void> {
    await saveFacts(tx, [...this.#touched], now);
    this.#touched.clear();
  }
}

export async function saveFacts(tx: Tx, facts: CommandFacts[], now: number): Promise<void> {
  await saveRows(tx, facts);
  await restand(tx, facts, now);
}

async function saveRows(tx: Tx, facts: CommandFacts[]): Promise<void> {
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
          carrier: eb.ref('excluded.carrier'),
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

/** For evidence and for whoever is told: what a command makes of its site, which it must have an answer for. */
export function outcomeKnown(facts: CommandFacts): SiteOutcome {
  const outcome = outcomeOf(facts);
  if (outcome === undefined) throw new Error(`the command ${facts.commandId} has no outcome`);
  return outcome;
}
