/** Ids of commands. Apart from their form: workflows make ids, and must not load the schemas for that. */
import type { Verb } from './command.js';

/** The id of a command: the same whenever it is issued, so that a site takes it once. */
export function commandIdOf(of: { firstRunId: string; site: string; stream: string; verb: Verb; try: number }): string {
  return `${of.firstRunId}/${of.site}/${of.stream}/${of.verb}/${of.try}`;
}

/** The first run id of the rollout that a command is of; undefined for what is no command id. */
export function firstRunIdOf(commandId: string): string | undefined {
  const end = commandId.indexOf('/');
  return end > 0 ? commandId.slice(0, end) : undefined;
}

/** Which try a command id is of; 1 for what is no command id. */
export function tryOf(commandId: string): number {
  const found = /\/(\d{1,9})$/.exec(commandId)?.[1];
  return found === undefined ? 1 : Number(found);
}
