/** `depot serve`: a depot directory over HTTP, with range requests, until interrupted. */
import type { Command } from 'commander';
import { MistakeError } from '../../policies/model/failure.js';
import { done, type Answer } from '../answer.js';
import type { Context } from '../context.js';
import type { Execute } from '../execute.js';
import { untilInterrupted } from '../io.js';

const LISTEN = '127.0.0.1:8081';

export function declareDepot(program: Command, execute: Execute): void {
  const depot = program.command('depot').description('where releases are published');
  depot
    .command('serve')
    .description('serve a depot directory over HTTP, until interrupted')
    .argument('[directory]', 'default: the project’s')
    .option('--listen <host:port>', 'port 0 takes a free one', LISTEN)
    .action((directory: string | undefined, flags: { listen: string }, self: Command) =>
      execute(self, (context) => serve(context, directory, flags.listen)),
    );
}

/** Says on standard error where it listens. Throws WorldError PORT_IN_USE. */
export async function serve(context: Context, directory: string | undefined, listen: string): Promise<Answer> {
  const path = directory === undefined ? await context.depotToWrite() : context.path(directory);
  const { serveDepot } = await import('../../records/depot/serve.js');
  const server = await serveDepot(path, addressOf(listen));
  context.note(`serving ${path} at ${server.url}`);
  await untilInterrupted(context.io.interrupted);
  await server.close();
  return done({ served: path, url: server.url }, '');
}

function addressOf(listen: string): { host: string; port: number } {
  const [, host, port] = /^(?:\[?([^\]]*?)\]?:)?(\d{1,5})$/.exec(listen) ?? [];
  if (port === undefined || Number(port) > 65_535) {
    throw new MistakeError('BAD_ARGUMENT', `expected --listen host:port, got ${listen}`);
  }
  return { host: host === undefined || host === '' ? '127.0.0.1' : host, port: Number(port) };
}
