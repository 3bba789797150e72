// @ts-check
/**
 * The Python package index that this machine is configured to use: pip's environment variables and files, read without Python.
 * Only what decides where a package comes from is read: index, further indexes, links, certificate, proxy.
 */
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** pip's own default, used only where nothing is configured. The one host named in this project, and only here. */
const DEFAULT_INDEX = 'https://pypi.org/simple';

/**
 * @typedef {{ indexes: string[], links: string[], certificate: string | undefined, proxy: string | undefined }} PipSettings
 * `indexes` are roots of the simple API, best first; `links` are folders or pages to look in before them.
 */

/**
 * @param {NodeJS.ProcessEnv} [env]
 * @param {NodeJS.Platform} [platform]
 * @returns {Promise<PipSettings>}
 */
export async function readPipSettings(env = process.env, platform = process.platform) {
  /** @type {Map<string, string>} */
  const settings = new Map();
  for (const file of configFiles(env, platform)) {
    const text = await readFile(file, 'utf8').catch(() => '');
    for (const [key, value] of parsePipConfig(text)) settings.set(key, value);
  }
  for (const [name, value] of Object.entries(env)) {
    if (name.startsWith('PIP_') && value) settings.set(name.slice(4).toLowerCase().replaceAll('_', '-'), value);
  }
  const list = (/** @type {string} */ key) => (settings.get(key) ?? '').split(/\s+/).filter(Boolean);
  const offline = ['1', 'true', 'yes', 'on', 'y', 't'].includes((settings.get('no-index') ?? '').toLowerCase());
  return {
    indexes: offline ? [] : [settings.get('index-url') ?? DEFAULT_INDEX, ...list('extra-index-url')],
    links: list('find-links'),
    certificate: settings.get('cert'),
    proxy: settings.get('proxy'),
  };
}

/**
 * pip's configuration files, the weakest first.
 * @param {NodeJS.ProcessEnv} env
 * @param {NodeJS.Platform} platform
 */
function configFiles(env, platform) {
  const own = env['PIP_CONFIG_FILE'];
  // pip's way to say "no configuration file at all".
  if (own === '/dev/null') return [];
  const home = env['HOME'] ?? homedir();
  const files = ['/etc/xdg/pip/pip.conf', '/etc/pip.conf', join(home, '.pip/pip.conf')];
  if (platform === 'darwin') files.unshift('/Library/Application Support/pip/pip.conf');
  files.push(join(env['XDG_CONFIG_HOME'] || join(home, '.config'), 'pip/pip.conf'));
  if (platform === 'darwin') files.push(join(home, 'Library/Application Support/pip/pip.conf'));
  if (env['VIRTUAL_ENV']) files.push(join(env['VIRTUAL_ENV'], 'pip.conf'));
  return own ? [...files, own] : files;
}

/**
 * The settings of `[global]` and of `[download]`, the latter stronger, as pip has it for the command that we stand in for.
 * @param {string} text
 * @returns {[string, string][]}
 */
export function parsePipConfig(text) {
  /** @type {Record<string, [string, string][]>} */
  const sections = { global: [], download: [] };
  let section = '';
  for (const line of text.split(/\r?\n/)) {
    if (/^\s*[#;]/.test(line)) continue;
    const header = /^\[(.+)\]\s*$/.exec(line);
    const setting = /^([A-Za-z][\w-]*)\s*[=:]\s*(.*)$/.exec(line);
    const entries = sections[section];
    if (header) section = (header[1] ?? '').trim();
    else if (setting) entries?.push([(setting[1] ?? '').toLowerCase().replaceAll('_', '-'), (setting[2] ?? '').trim()]);
    else if (/^\s+\S/.test(line) && entries?.length) {
      // A value may go on over indented lines: several further indexes are written so.
      const last = /** @type {[string, string]} */ (entries.at(-1));
      last[1] = `${last[1]} ${line.trim()}`.trim();
    }
  }
  return [...(sections['global'] ?? []), ...(sections['download'] ?? [])];
}
