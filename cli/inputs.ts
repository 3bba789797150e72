/** From what a person writes for a release, a strategy and a fleet to what they mean. */
import { existsSync } from 'node:fs';
import { MistakeError } from '../policies/model/failure.js';
import type { ResolvedFleet } from '../policies/model/fleet.js';
import type { Manifest, Release, ReleaseRef } from '../policies/model/release.js';
import { Strategy } from '../policies/model/strategy.js';
import { withRetired } from '../policies/site/judge-import.js';
import type { TemplateText } from '../policies/render/release.js';
import { FLEET_NAME, newerImport } from '../records/files/newer-import.js';
import type { Context } from './context.js';
import { suggestions } from './nearest.js';

export interface MeantRelease {
  ref: ReleaseRef;
  manifest: Manifest;
  release: Release;
  templates: TemplateText[];
  /** Set if it was named by its directory, and so may not be published yet. */
  directory?: string;
}

const REFERENCE = /^([^@\s/]+)@([^@\s/]+)$/;

/** `stream@version` in the depot, or a release directory. Throws MistakeError RELEASE_NOT_FOUND or RELEASE_INVALID. */
export async function meantRelease(context: Context, written: string): Promise<MeantRelease> {
  const path = context.path(written);
  if (existsSync(path)) {
    const { packRelease } = await import('../records/depot/pack-release.js');
    return { ...(await packRelease(path)), directory: path };
  }
  const { stream, version } = releaseReference(written);
  const { openDepot } = await import('../records/depot/open-depot.js');
  const depot = openDepot(await context.depotToRead());
  const published = await depot.release(stream, version);
  return { ...published, templates: await depot.templateTexts(published) };
}

/** Throws MistakeError RELEASE_NOT_FOUND. */
export function releaseReference(written: string): { stream: string; version: string } {
  const [, stream, version] = REFERENCE.exec(written) ?? [];
  if (stream !== undefined && version !== undefined) return { stream, version };
  throw new MistakeError(
    'RELEASE_NOT_FOUND',
    `expected a release as stream@version or as a directory, got ${written}, which is neither`,
  );
}

export interface MeantStrategy {
  strategy: Strategy;
  digest: string;
  /** The filled file, as it is imported. */
  filled: unknown;
  /** Set if it was named by its file: `start` imports it first. */
  file?: string;
}

/** A name, or a file. Throws MistakeError STRATEGY_NOT_FOUND or STRATEGY_INVALID. */
export async function meantStrategy(context: Context, written: string): Promise<MeantStrategy> {
  const { loadStrategies, loadStrategy } = await import('../records/files/strategy-file.js');
  const path = context.path(written);
  if (looksLikeFile(written)) {
    if (existsSync(path)) return { ...(await loadStrategy(path)), file: path };
    throw new MistakeError('STRATEGY_NOT_FOUND', `expected a strategy file at ${path}, there is none`);
  }
  const own = await loadStrategies((await context.project()).strategies);
  const found = own.get(written);
  const imported = await newerImport(await context.registryIfHere(), 'strategy', written, found?.path);
  if (imported) return { strategy: Strategy.parse(imported.body), digest: imported.digest, filled: imported.body };
  if (found) return { strategy: found.strategy, digest: found.digest, filled: found.filled };
  const documents = (await (await context.registryIfHere())?.documents('strategy')) ?? [];
  throw new MistakeError(
    'STRATEGY_NOT_FOUND',
    `expected the name or the file of a strategy, got ${written}`,
    suggestions(written, [...own.keys(), ...documents.map(({ name }) => name)], 'strategy'),
  );
}

function looksLikeFile(written: string): boolean {
  return /[/\\]|\.(ya?ml|json)$/.test(written);
}

/** `--fleet FILE`, else what the control worker would take: the project's file, or a later import. */
export async function meantFleet(context: Context): Promise<ResolvedFleet> {
  const registry = await context.registryIfHere();
  return withRetired(await writtenFleet(context), (await registry?.retiredSites()) ?? new Set());
}

/** As it is written, whatever was retired at the centre since. */
export async function writtenFleet(context: Context): Promise<ResolvedFleet> {
  if (context.flags.fleet !== undefined) return context.fleet();
  const imported = await newerImport(await context.registryIfHere(), 'fleet', FLEET_NAME, await context.fleetPath());
  return imported ? (imported.body as ResolvedFleet) : context.fleet();
}
