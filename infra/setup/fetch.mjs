// @ts-check
/**
 * Downloads for set-up over node:http(s): redirects, the configured certificate authorities, a proxy, retries, progress.
 * Node 20's own `fetch` knows neither proxies nor further authorities.
 */
import { readFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as tlsConnect, rootCertificates } from 'node:tls';
import { SetupError } from './run.mjs';

const ATTEMPTS = 4;
const MOST_REDIRECTS = 5;
const SILENT_FOR_MS = 60_000;

/** @typedef {{ certificate?: string | undefined, proxy?: string | undefined, accept?: string, onBytes?: (got: number, of: number) => void }} FetchOptions */
/** @typedef {{ url: string, type: string, body: Buffer }} Fetched `url` is where the answer came from in the end */

/**
 * Fetches a whole body; tries again when the connection or the server fails.
 * @param {string} url
 * @param {FetchOptions} [options]
 * @returns {Promise<Fetched>}
 * @throws {SetupError}
 */
export async function fetchBytes(url, options = {}) {
  const ca = options.certificate ? [...rootCertificates, await readFile(options.certificate, 'utf8')] : undefined;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await fetchOnce(new URL(url), { ...options, ca }, MOST_REDIRECTS);
    } catch (error) {
      if (attempt === ATTEMPTS || error instanceof FinalAnswer) {
        throw new SetupError(`expected to fetch ${withoutCredentials(url)}: ${/** @type {Error} */ (error).message}`);
      }
      await sleep(500 * 2 ** attempt);
    }
  }
}

/** An answer that trying again would not change. */
class FinalAnswer extends Error {}

/**
 * @param {URL} url
 * @param {FetchOptions & { ca?: string[] | undefined }} options
 * @param {number} redirects
 * @returns {Promise<Fetched>}
 */
async function fetchOnce(url, options, redirects) {
  const response = await open(url, options);
  const status = response.statusCode ?? 0;
  if (status >= 300 && status < 400 && response.headers.location) {
    response.resume();
    if (redirects === 0) throw new FinalAnswer('redirected too often');
    return fetchOnce(new URL(response.headers.location, url), options, redirects - 1);
  }
  if (status !== 200) {
    response.resume();
    const message = `the server answered ${status}`;
    throw status >= 400 && status < 500 && status !== 429 ? new FinalAnswer(message) : new Error(message);
  }
  const expected = Number(response.headers['content-length'] ?? 0);
  /** @type {Buffer[]} */
  const chunks = [];
  let got = 0;
  for await (const each of response) {
    const chunk = /** @type {Buffer} */ (each);
    chunks.push(chunk);
    got += chunk.length;
    options.onBytes?.(got, expected);
  }
  if (expected && got !== expected) throw new Error(`the answer was cut short: ${got} of ${expected} bytes`);
  return { url: url.href, type: response.headers['content-type'] ?? '', body: Buffer.concat(chunks) };
}

/**
 * @param {URL} url
 * @param {FetchOptions & { ca?: string[] | undefined }} options
 * @returns {Promise<import('node:http').IncomingMessage>}
 */
async function open(url, options) {
  const proxy = proxyFor(url, options.proxy);
  const tls = options.ca ? { ca: options.ca } : {};
  const headers = { accept: options.accept ?? '*/*', 'user-agent': 'foothold-setup', ...credentials(url) };
  const request = await startRequest(url, proxy, tls, headers);
  return new Promise((resolve, reject) => {
    request.setTimeout(SILENT_FOR_MS, () => request.destroy(new Error(`no answer for ${SILENT_FOR_MS / 1000} s`)));
    request.on('response', resolve).on('error', reject).end();
  });
}

/**
 * @param {URL} url @param {URL | undefined} proxy @param {{ ca?: string[] }} tls @param {Record<string, string>} headers
 * @returns {Promise<import('node:http').ClientRequest>}
 */
async function startRequest(url, proxy, tls, headers) {
  if (url.protocol === 'http:') {
    if (!proxy) return httpRequest(url, { headers });
    const via = { host: proxy.hostname, port: proxy.port || 80, path: url.href };
    return httpRequest({
      ...via,
      headers: { ...headers, host: url.host, ...credentials(proxy, 'proxy-authorization') },
    });
  }
  if (url.protocol !== 'https:') throw new FinalAnswer(`cannot fetch over ${url.protocol}`);
  if (!proxy) return httpsRequest(url, { headers, ...tls });
  const socket = await tunnel(url, proxy);
  const agent = new Agent({ keepAlive: false });
  agent.createConnection = () => tlsConnect({ socket, servername: url.hostname, ...tls });
  return httpsRequest(url, { headers, agent });
}

/** A connection to `url`'s host through the proxy. @param {URL} url @param {URL} proxy @returns {Promise<import('node:net').Socket>} */
function tunnel(url, proxy) {
  const path = `${url.hostname}:${url.port || 443}`;
  return new Promise((resolve, reject) => {
    httpRequest({
      host: proxy.hostname,
      port: proxy.port || 80,
      method: 'CONNECT',
      path,
      headers: { host: path, ...credentials(proxy, 'proxy-authorization') },
      timeout: SILENT_FOR_MS,
    })
      .on('connect', (response, socket) => {
        if (response.statusCode === 200) resolve(/** @type {import('node:net').Socket} */ (socket));
        else reject(new Error(`the proxy answered ${response.statusCode}`));
      })
      .on('error', reject)
      .end();
  });
}

/**
 * The proxy for a URL: pip's setting, else the usual environment variables, unless NO_PROXY names the host.
 * @param {URL} url
 * @param {string | undefined} configured
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {URL | undefined}
 */
export function proxyFor(url, configured, env = process.env) {
  const get = (/** @type {string} */ name) => env[name.toLowerCase()] || env[name];
  const exempt = (get('NO_PROXY') ?? '').split(',').map((each) => each.trim().replace(/^\*?\./, ''));
  if (exempt.some((each) => each === '*' || (each && (url.hostname === each || url.hostname.endsWith(`.${each}`)))))
    return undefined;
  const proxy = configured || get(url.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY') || get('ALL_PROXY');
  if (!proxy) return undefined;
  return new URL(proxy.includes('://') ? proxy : `http://${proxy}`);
}

/** @param {URL} url @param {string} [header] @returns {Record<string, string>} */
function credentials(url, header = 'authorization') {
  if (!url.username) return {};
  const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  return { [header]: `Basic ${Buffer.from(pair).toString('base64')}` };
}

/** @param {string} text */
export function withoutCredentials(text) {
  const url = new URL(text);
  url.username = '';
  url.password = '';
  return url.href;
}
