/** Commands of design §7 that are known by name and not built yet: refused clearly, never "unknown". */
import type { Command } from 'commander';
import { MistakeError } from '../../policies/model/failure.js';
import type { Execute } from '../execute.js';

const LATER: Record<string, string[]> = {
  '': ['approve'],
  site: ['revert'],
  gate: ['judge', 'try'],
};

/** Adds them to the program, into the groups that exist already or new ones. */
export function declareLater(program: Command, execute: Execute): void {
  for (const [group, names] of Object.entries(LATER)) {
    const parent = group === '' ? program : groupOf(program, group);
    for (const name of names) declareOne(parent, `${group} ${name}`.trim(), name, execute);
  }
}

function groupOf(program: Command, name: string): Command {
  return (
    program.commands.find((command) => command.name() === name) ??
    program.command(name).description('not available yet')
  );
}

function declareOne(parent: Command, path: string, name: string, execute: Execute): void {
  parent
    .command(name)
    .description('not available yet')
    .argument('[any...]')
    .allowUnknownOption()
    .action((_words: string[], _options: unknown, command: Command) =>
      execute(command, () => notAvailable(`foothold ${path}`)),
    );
}

/** Throws MistakeError NOT_AVAILABLE. */
export async function notAvailable(what: string): Promise<never> {
  throw new MistakeError('NOT_AVAILABLE', `${what} is not available yet`);
}
