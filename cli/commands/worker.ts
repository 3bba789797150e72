/** `worker run`: the control worker, until it is told to end. */
import type { Command } from 'commander';
import { done } from '../answer.js';
import type { Execute } from '../execute.js';

export function declareWorker(program: Command, execute: Execute): void {
  const worker = program.command('worker').description('the control worker');
  worker
    .command('run')
    .description('carry out rollouts, with the project’s configuration, until interrupted')
    .action((_flags: unknown, self: Command) =>
      execute(self, async (context) => {
        const projectPath = context.projectPath();
        const { runControlWorker } = await import('../../worker/control.js');
        await runControlWorker({ projectPath, temporal: context.temporalFlags() });
        return done({ ended: true }, '');
      }),
    );
}
