/** A release directory as it would be published: manifest, digest and files, with nothing written yet. */
import { realpath } from 'node:fs/promises';
import { MistakeError } from '../../policies/model/failure.js';
import { didYouMean } from '../../policies/model/nearest.js';
import type { Manifest, Release, ReleaseRef } from '../../policies/model/release.js';
import { componentFiles, globToRegExp } from '../../policies/render/files.js';
import { variableUses, type TemplateText } from '../../policies/render/release.js';
import { SITE_VARIABLES } from '../../policies/render/template.js';
import { canonicalJson, sha256Hex } from '../../policies/signing/jcs.js';
import { loadRelease } from '../files/release-file.js';
import { collectFiles, openRegular, type SourceFile } from './collect-files.js';

export interface PackedRelease {
  ref: ReleaseRef;
  release: Release;
  manifest: Manifest;
  /** The manifest's JCS form: what `ref.digest` is the digest of. */
  body: string;
  templates: TemplateText[];
  files: SourceFile[];
}

/** A template is configuration that people read; what is larger is data. */
export const TEMPLATE_LIMIT = 1024 * 1024;
/** Sites read the manifest as a whole. */
export const MANIFEST_LIMIT = 8 * 1024 * 1024;

/** `directory` is the release's directory or its file. Throws MistakeError RELEASE_INVALID, FILE_NOT_FOUND. */
export async function packRelease(directory: string): Promise<PackedRelease> {
  const loaded = await loadRelease(directory);
  const { release } = loaded;
  const files = await collectFiles(await realpath(loaded.directory), release);
  const templates = await readTemplates(release, files);
  refuseUnknownVariables(release, templates);
  const manifest: Manifest = {
    format: 'foothold.release/v1',
    release: loaded.filled,
    files: files.map(({ path, digest, size, mode }) => ({ path, digest, size, mode })),
  };
  const body = canonicalJson(manifest);
  if (Buffer.byteLength(body) > MANIFEST_LIMIT)
    throw invalid(`expected fewer files: the manifest of ${files.length} is too large`);
  const ref = { stream: release.stream, version: release.version, digest: `sha256:${sha256Hex(body)}` };
  return { ref, release, manifest, body, templates, files };
}

/** The files of the release that are rendered at each site, in the order of the manifest. */
export function templateFiles<F extends { path: string }>(release: Release, files: readonly F[]): F[] {
  const paths = new Set(
    release.components.flatMap(({ driver }) =>
      componentFiles(driver, files).flatMap(({ file, template }) => (template ? [file.path] : [])),
    ),
  );
  return files.filter((file) => paths.has(file.path));
}

async function readTemplates(release: Release, files: SourceFile[]): Promise<TemplateText[]> {
  refuseIdleGlobs(release, files);
  const texts: TemplateText[] = [];
  for (const one of templateFiles(release, files)) {
    if (one.size > TEMPLATE_LIMIT)
      throw invalid(`${one.path}: expected a template of at most 1 MiB, got ${one.size} bytes`);
    const { file } = await openRegular(one.source, one.path);
    const bytes = await file.readFile().finally(() => file.close());
    if (`sha256:${sha256Hex(bytes)}` !== one.digest) throw changedMeanwhile(one.path);
    texts.push({ path: one.path, text: decodeUtf8(bytes, one.path) });
  }
  return texts;
}

export function decodeUtf8(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw invalid(`${path}: expected a template in UTF-8, got other bytes; leave it out of templates if it is data`);
  }
}

/** A glob that matches nothing is a typing mistake, and the file it meant would go live unrendered. */
function refuseIdleGlobs(release: Release, files: SourceFile[]): void {
  for (const { name, driver } of release.components) {
    const names = componentFiles(driver, files).map((file) => file.name);
    for (const glob of driver.templates) {
      const pattern = globToRegExp(glob);
      if (names.some((one) => pattern.test(one))) continue;
      throw invalid(
        `components.${name}.templates: expected ${glob} to match a file of ${driver.files}, got none of ${names.slice(0, 10).join(', ')}`,
      );
    }
  }
}

function refuseUnknownVariables(release: Release, templates: TemplateText[]): void {
  const known = [...Object.keys(release.vars), ...SITE_VARIABLES];
  const lines = variableUses(release, templates)
    .filter((use) => !known.includes(use.name))
    .map(({ name, where }) => `${where}: {{${name}}} is not declared under vars.${didYouMean(name, known)}`);
  if (lines.length === 0) return;
  const declared = Object.keys(release.vars).join(', ') || 'nothing';
  throw new MistakeError(
    'RELEASE_INVALID',
    `expected variables that the release declares (${declared}), got ${lines[0] ?? ''}`,
    lines,
  );
}

export function changedMeanwhile(path: string): MistakeError {
  return invalid(`${path}: expected it to stay as it is while being published, it was changed`);
}

function invalid(message: string): MistakeError {
  return new MistakeError('RELEASE_INVALID', message);
}
