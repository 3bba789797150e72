/** The table of contents of the operator's door: every command of design §7, and what all of them understand. */
import { Command, CommanderError } from 'commander';
import { MistakeError } from '../policies/model/failure.js';
import { EXIT, type ExitCode } from './answer.js';
import { declareAgent } from './commands/agent.js';
import { declareAllow } from './commands/allow.js';
import { declareDepot } from './commands/depot.js';
import { declareDoctor } from './commands/doctor.js';
import { declareExplain } from './commands/explain.js';
import { declareFleet } from './commands/fleet.js';
import { declareInit } from './commands/init.js';
import { declareLater } from './commands/later.js';
import { declarePlan } from './commands/plan.js';
import { declarePublish } from './commands/publish.js';
import { declareStart } from './commands/start.js';
import { declareStatus } from './commands/status.js';
import { declareValidate } from './commands/validate.js';
import { declareVerbs } from './commands/verbs.js';
import { declareWatch } from './commands/watch.js';
import { declareWorker } from './commands/worker.js';
import { executor, printFailure } from './execute.js';
import type { Io } from './io.js';

/** Runs one command line to its exit code. Never throws. */
export async function runProgram(argv: string[], io: Io): Promise<ExitCode> {
  let exit: ExitCode = EXIT.done;
  const program = frame(io);
  const execute = executor(io, (code) => {
    exit = code;
  });

  declareInit(program, execute);
  declareDoctor(program, execute);
  declareValidate(program, execute);
  declarePublish(program, execute);
  declarePlan(program, execute);
  declareStart(program, execute);
  declareStatus(program, execute);
  declareWatch(program, execute);
  declareExplain(program, execute);
  declareVerbs(program, execute);
  declareAllow(program, execute);
  declareFleet(program, execute);
  declareWorker(program, execute);
  declareDepot(program, execute);
  declareAgent(program, execute);
  declareLater(program, execute);

  try {
    frameEach(program);
    await program.parseAsync(argv, { from: 'user' });
  } catch (error) {
    exit = afterParsing(error, argv, io);
  }
  return exit;
}

function frame(io: Io): Command {
  return new Command('foothold')
    .description('Rolls releases out to sites whose links fail: staged, gated, undone by the site itself.')
    .option('--project <file>', 'foothold.yaml to use (default: the nearest one, here or above)')
    .option('--fleet <file>', 'fleet file instead of the project’s')
    .option('--registry <url>', 'registry instead of the project’s: sqlite:PATH')
    .option('--depot <where>', 'depot instead of the project’s: a directory or http://…')
    .option('--json', 'one document on standard output; logs on standard error')
    .option('--address <host:port>', 'Temporal (default: as for the temporal command)')
    .option('--namespace <name>', 'Temporal namespace')
    .option('--profile <name>', 'profile of the Temporal configuration file')
    .configureOutput({
      writeOut: (text) => {
        io.out(text);
      },
      // What commander would print is printed once, as a block, by afterParsing.
      writeErr: () => undefined,
    })
    .showSuggestionAfterError();
}

/** Commander copies these settings only to commands made after they are set, and `exitOverride` not at all to groups. */
function frameEach(command: Command): void {
  command.exitOverride();
  command.commands.forEach(frameEach);
}

function afterParsing(error: unknown, argv: string[], io: Io): ExitCode {
  const json = argv.includes('--json');
  if (!(error instanceof CommanderError)) return printFailure(io, json, error);
  if (error.exitCode === 0) return EXIT.done;
  const said = error.message.replace(/^error: /, '').trim();
  const [first = said, ...rest] = said === '(outputHelp)' || said === '' ? ['expected a command'] : said.split('\n');
  const message = `${first}; foothold ${commandWords(argv)}--help shows what is understood`;
  return printFailure(io, json, new MistakeError('BAD_ARGUMENT', message, rest));
}

function commandWords(argv: string[]): string {
  const words = argv.slice(0, 2).filter((word) => /^[a-z]+$/.test(word));
  return words
    .slice(0, 1)
    .map((word) => `${word} `)
    .join('');
}
