/** `tls`: one handshake, and what it shows of chain, days left, protocol and suite. */
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { checkServerIdentity, connect, type DetailedPeerCertificate, type TLSSocket } from 'node:tls';
import type { TlsCheck } from '../../policies/model/check.js';
import { hostPortOf } from '../../policies/model/check-rules.js';
import { limited, wordsOf } from './limited.js';
import type { CheckSample } from './probe.js';

const DAY_MS = 86_400_000;
const ORDER = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'];
/** More issuers than this in a chain is a loop. */
const LONGEST_CHAIN = 20;

export async function probeTls(
  check: TlsCheck,
  cwd: string,
  now: () => number,
  signal: AbortSignal,
): Promise<CheckSample> {
  const at = hostPortOf(check.tls);
  if (!at) return unjudged(`expected host:port, got ${check.tls}`);
  let ca: string | undefined;
  try {
    if (check.ca !== undefined) ca = await readFile(resolve(cwd, check.ca), 'utf8');
  } catch (error) {
    return unjudged(`the authorities could not be read: ${(error as Error).message}`);
  }
  const name = check.serverName ?? at.host;
  const words = { late: failed(`no handshake within ${check.timeout} ms`), unwanted: failed('no longer wanted') };
  return limited<CheckSample>(check.timeout, signal, words, (end) => {
    // Judged below, not by the socket: what is wrong is to be told whole. `authorized` is never skipped.
    const socket = connect({
      ...at,
      ...(isIP(name) === 0 ? { servername: name } : {}),
      ...(ca === undefined ? {} : { ca }),
      rejectUnauthorized: false,
    });
    socket.on('error', (error: Error) => end(failed(wordsOf(error))));
    socket.on('close', () => end(failed('the connection was closed during the handshake')));
    socket.on('secureConnect', () => end(judgeHandshake(check, name, socket, now())));
    return () => socket.destroy();
  });
}

function judgeHandshake(check: TlsCheck, name: string, socket: TLSSocket, now: number): CheckSample {
  const certificate = socket.getPeerCertificate(true);
  const mismatch = checkServerIdentity(name, certificate);
  if (mismatch) return failed(mismatch.message);
  if (!socket.authorized) return failed(`the chain is not trusted: ${String(socket.authorizationError)}`);
  const protocol = socket.getProtocol() ?? 'none';
  const { name: suite, standardName } = socket.getCipher();
  const left = daysLeft(certificate, now);
  const shown = `${protocol} ${standardName}, ${Math.floor(left)} days left`;
  if (!Number.isFinite(left)) return unjudged('a certificate of the chain does not say until when it is good');
  if (left < (check.daysLeft ?? 0)) return failed(`${shown}, expected at least ${check.daysLeft ?? 0} days`);
  if (ORDER.indexOf(protocol) < ORDER.indexOf(check.protocol ?? 'TLSv1.2')) {
    return failed(`${shown}, expected ${check.protocol ?? 'TLSv1.2'} or later`);
  }
  if (check.suites && !check.suites.some((one) => one === suite || one === standardName)) {
    return failed(`${shown}, expected one of ${check.suites.join(', ')}`);
  }
  return { passed: true, detail: shown };
}

/** Of the certificate of the chain that ends first. NaN: one of them does not say. */
function daysLeft(leaf: DetailedPeerCertificate, now: number): number {
  let least = Infinity;
  for (let one: DetailedPeerCertificate | undefined = leaf, i = 0; one && i < LONGEST_CHAIN; i++) {
    const left = (Date.parse(one.valid_to) - now) / DAY_MS;
    if (Number.isNaN(left)) return NaN;
    least = Math.min(least, left);
    const issuer: DetailedPeerCertificate | undefined = one.issuerCertificate;
    one = issuer === one || issuer?.fingerprint256 === one.fingerprint256 ? undefined : issuer;
  }
  return least;
}

function failed(detail: string): CheckSample {
  return { passed: false, detail };
}

function unjudged(detail: string): CheckSample {
  return { passed: false, inconclusive: true, detail };
}
