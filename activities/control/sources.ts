/**
 * Fleet and strategies for a plan: the worker's own files or the registry's imports, whichever is newer. A name means
 * the latest import (design §4.2); a file that was changed after it counts as a further import.
 */
import { MistakeError } from '../../policies/model/failure.js';
import type { ResolvedFleet } from '../../policies/model/fleet.js';
import { didYouMean } from '../../policies/model/nearest.js';
import { withRetired } from '../../policies/site/judge-import.js';
import { Strategy } from '../../policies/model/strategy.js';
import { loadFleet } from '../../records/files/fleet-file.js';
import { FLEET_NAME, newerImport } from '../../records/files/newer-import.js';
import { loadProject, resolveProject } from '../../records/files/project-file.js';
import { loadStrategies } from '../../records/files/strategy-file.js';
import type { DocumentKind, ImportedDocument } from '../../records/registry/registry.js';
import type { ControlDeps } from './deps.js';

interface FileDocument {
  body: unknown;
  digest: string;
  path: string;
}

export async function readFleet(deps: ControlDeps): Promise<ResolvedFleet> {
  const project = resolveProject(await loadProject(deps.projectPath));
  const document = await newest(deps, 'fleet', FLEET_NAME, async () => {
    const fleet = await loadFleet(project.fleet);
    return { body: fleet, digest: fleet.digest, path: project.fleet };
  });
  return withRetired(document.body as ResolvedFleet, await deps.registry.retiredSites());
}

/** Throws MistakeError STRATEGY_NOT_FOUND naming those that there are. */
export async function readStrategy(deps: ControlDeps, name: string): Promise<{ strategy: Strategy; digest: string }> {
  const project = resolveProject(await loadProject(deps.projectPath));
  const document = await newest(deps, 'strategy', name, async () => {
    const own = (await loadStrategies(project.strategies)).get(name);
    return own && { body: own.filled, digest: own.digest, path: own.path };
  });
  return { strategy: Strategy.parse(document.body), digest: document.digest };
}

/** A broken file is a mistake even where an older import would do: going on with that would surprise. */
async function newest(
  deps: ControlDeps,
  kind: DocumentKind,
  name: string,
  readFile: () => Promise<FileDocument | undefined>,
): Promise<Pick<ImportedDocument, 'body' | 'digest'>> {
  const file = await readFile();
  const imported = await newerImport(deps.registry, kind, name, file?.path);
  if (imported) return imported;
  if (!file) throw await notFound(deps, kind, name);
  await deps.registry.importDocument({ kind, name, digest: file.digest, body: file.body }, deps.now());
  return file;
}

async function notFound(deps: ControlDeps, kind: DocumentKind, name: string): Promise<MistakeError> {
  const project = resolveProject(await loadProject(deps.projectPath));
  const own = kind === 'strategy' ? [...(await loadStrategies(project.strategies)).keys()] : [];
  const known = [
    ...new Set([...own, ...(await deps.registry.documents(kind)).map((document) => document.name)]),
  ].sort();
  const there = known.length > 0 ? `there are: ${known.join(', ')}` : `${project.strategies} holds none`;
  return new MistakeError('STRATEGY_NOT_FOUND', `no strategy is named ${name}; ${there}.${didYouMean(name, known)}`);
}
