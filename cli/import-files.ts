/** What `start` brings to the centre before it begins: a release directory, a strategy file, a fleet file. */
import type { Context } from './context.js';
import { FLEET_NAME } from '../records/files/newer-import.js';
import { writtenFleet } from './inputs.js';
import type { JudgedPlan } from './judge-plan.js';
import { differences } from './render/difference.js';
import type { DocumentKind } from '../records/registry/registry.js';

export interface Imported {
  what: 'release' | DocumentKind;
  name: string;
  digest: string;
  changed: boolean;
  /** Against the latest import before; empty for a release. */
  difference: string[];
  /** For people. */
  line: string;
}

/** Only what was named by a file: a name already means what the centre has. */
export async function importFiles(context: Context, { release, strategy }: JudgedPlan): Promise<Imported[]> {
  const imported: Imported[] = [];
  if (release.directory !== undefined) imported.push(await publishFirst(context, release.directory));
  if (strategy.file !== undefined) {
    imported.push(await importOne(context, 'strategy', strategy.strategy.name, strategy.digest, strategy.filled));
  }
  if (context.flags.fleet !== undefined) {
    const fleet = await writtenFleet(context);
    imported.push(await importOne(context, 'fleet', FLEET_NAME, fleet.digest, fleet));
  }
  return imported;
}

async function publishFirst(context: Context, directory: string): Promise<Imported> {
  const { publishRelease } = await import('../records/depot/publish.js');
  const { ref, created } = await publishRelease(directory, await context.depotToWrite());
  const name = `${ref.stream}@${ref.version}`;
  const line = created ? `published ${name}  ${ref.digest}` : `release ${name} is in the depot already`;
  return { what: 'release', name, digest: ref.digest, changed: created, difference: [], line };
}

async function importOne(
  context: Context,
  what: DocumentKind,
  name: string,
  digest: string,
  body: unknown,
): Promise<Imported> {
  const registry = await context.registry();
  const before = await registry.latestDocument(what, name);
  const { changed } = await registry.importDocument({ kind: what, name, digest, body }, context.io.now());
  const difference = before && changed ? differences(before.body, body) : [];
  const head = !before ? 'for the first time' : changed ? `changed from ${before.digest}` : 'unchanged';
  const line = [`imported ${what} ${name}  ${digest}  (${head})`, ...difference.map((one) => `  ${one}`)].join('\n');
  return { what, name, digest, changed, difference, line };
}
