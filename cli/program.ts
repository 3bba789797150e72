/** The table of contents of the operator's door: every command of design §7, and what all of them understand. */
import { Command, CommanderError } from 'commander';
import { MistakeError } from '../policies/model/failure.js';
import { EXIT, type ExitCode } from './answer.js';
import { declareLater } from './commands/later.js';
import { executor, printFailure, type Execute } from './execute.js';
import type { Io } from './io.js';

type Declare = (program: Command, execute: Execute) => void;

/**
 * Each command by the words that name it, in the order of `--help`. Only what a line names is loaded: loading all of
 * them takes longer than most answers.
 */
const COMMANDS: [words: string[], load: () => Promise<Declare>][] = [
  [['init'], async () => (await import('./commands/init.js')).declareInit],
  [['doctor'], async () => (await import('./commands/doctor.js')).declareDoctor],
  [['validate'], async () => (await import('./commands/validate.js')).declareValidate],
  [['publish'], async () => (await import('./commands/publish.js')).declarePublish],
  [['plan'], async () => (await import('./commands/plan.js')).declarePlan],
  [['start'], async () => (await import('./commands/start.js')).declareStart],
  [['status'], async () => (await import('./commands/status.js')).declareStatus],
  [['watch'], async () => (await import('./commands/watch.js')).declareWatch],
  [['explain'], async () => (await import('./commands/explain.js')).declareExplain],
  [['owed'], async () => (await import('./commands/owed.js')).declareOwed],
  [['history'], async () => (await import('./commands/history.js')).declareHistory],
  [['pause', 'resume', 'promote', 'abort', 'revert'], async () => (await import('./commands/verbs.js')).declareVerbs],
  [['retry'], async () => (await import('./commands/retry.js')).declareRetry],
  [['rollback'], async () => (await import('./commands/rollback.js')).declareRollback],
  [['allow'], async () => (await import('./commands/allow.js')).declareAllow],
  [['freeze', 'unfreeze'], async () => (await import('./commands/freeze.js')).declareFreeze],
  [['evidence'], async () => (await import('./commands/evidence.js')).declareEvidence],
  [['fleet'], async () => (await import('./commands/fleet.js')).declareFleet],
  [['keys'], async () => (await import('./commands/keys.js')).declareKeys],
  [['site'], async () => (await import('./commands/site.js')).declareSite],
  [['worker'], async () => (await import('./commands/worker.js')).declareWorker],
  [['depot'], async () => (await import('./commands/depot.js')).declareDepot],
  [['agent'], async () => (await import('./commands/agent.js')).declareAgent],
];

/** Runs one command line to its exit code. Never throws. */
export async function runProgram(argv: string[], io: Io): Promise<ExitCode> {
  let exit: ExitCode = EXIT.done;
  const program = frame(io);
  const execute = executor(io, (code) => {
    exit = code;
  });

  try {
    for (const declare of await declarations(argv)) declare(program, execute);
    declareLater(program, execute);
    frameEach(program);
    await program.parseAsync(argv, { from: 'user' });
  } catch (error) {
    exit = afterParsing(error, argv, io);
  }
  return exit;
}

/** What `argv` names, or everything: a word that is no command is refused beside the ones that exist. */
function declarations(argv: string[]): Promise<Declare[]> {
  const named = COMMANDS.filter(([words]) => words.some((word) => argv.includes(word)));
  return Promise.all((named.length > 0 ? named : COMMANDS).map(([, load]) => load()));
}

function frame(io: Io): Command {
  return new Command('foothold')
    .description('Rolls releases out to sites whose links fail: staged, gated, undone by the site itself.')
    .option('--project <file>', 'foothold.yaml to use (default: the nearest one, here or above)')
    .option('--fleet <file>', 'fleet file instead of the project’s')
    .option('--registry <url>', 'registry instead of the project’s: sqlite:PATH or postgres://…')
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
