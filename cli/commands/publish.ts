/** `publish`: a release directory into the depot. The same content again changes nothing, other content is refused. */
import type { Command } from 'commander';
import { MistakeError } from '../../policies/model/failure.js';
import type { ReleaseRef } from '../../policies/model/release.js';
import { done, type Answer } from '../answer.js';
import type { Context } from '../context.js';
import type { Execute } from '../execute.js';
import { meantRelease } from '../inputs.js';

export function declarePublish(program: Command, execute: Execute): void {
  program
    .command('publish')
    .description('put a release directory into the depot')
    .argument('<directory>')
    .option('--dry-run', 'say what would be published, and publish nothing')
    .action((directory: string, flags: { dryRun?: boolean }, self: Command) =>
      execute(self, (context) => publish(context, directory, flags.dryRun === true)),
    );
}

/** `{ release, digest, created, depot }`. Throws MistakeError RELEASE_INVALID or RELEASE_CONFLICT. */
export async function publish(context: Context, directory: string, dryRun: boolean): Promise<Answer> {
  const depot = await context.depotToWrite();
  if (dryRun) return dryAnswer(context, directory, depot);
  const { publishRelease } = await import('../../records/depot/publish.js');
  const { ref, created } = await publishRelease(context.path(directory), depot);
  const release = `${ref.stream}@${ref.version}`;
  const text = created
    ? `${context.paint('green', 'published')} ${release}  ${ref.digest}\nnext: foothold plan ${release} STRATEGY`
    : `unchanged: ${release} is in the depot already  ${ref.digest}`;
  return done({ release: ref, created, depot }, text);
}

async function dryAnswer(context: Context, directory: string, depot: string): Promise<Answer> {
  const { ref } = await meantRelease(context, directory);
  const there = await digestInDepot(depot, ref);
  if (there !== undefined && there !== ref.digest) {
    const message = `expected ${ref.stream}@${ref.version} to be unused or the same, the depot has ${there} under it`;
    throw new MistakeError('RELEASE_CONFLICT', `${message}: give this content another version`);
  }
  const text = `${there === undefined ? 'would publish' : 'unchanged:'} ${ref.stream}@${ref.version}  ${ref.digest}  ${depot}`;
  return done({ release: ref, created: there === undefined, depot, dryRun: true }, text);
}

async function digestInDepot(depot: string, { stream, version }: ReleaseRef): Promise<string | undefined> {
  const { openDepot } = await import('../../records/depot/open-depot.js');
  try {
    return (await openDepot(depot).release(stream, version)).ref.digest;
  } catch (error) {
    if (error instanceof MistakeError && error.code === 'RELEASE_NOT_FOUND') return undefined;
    throw error;
  }
}
