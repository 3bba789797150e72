/**
 * Samples of checks. Never throws and never hangs: whatever goes wrong is a sample with a reason for people. *Failed* is
 * what was measured bad; *inconclusive* is what could not be judged, because the check itself hung, crashed, or had
 * nothing to judge by.
 */
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import type { PersonCheck } from '../../policies/model/check.js';
import { echoAddressOf, hostPortOf } from '../../policies/model/check-rules.js';
import type { Check } from '../../policies/model/release.js';
import type { Measured } from '../../policies/site/judge-metric.js';
import { runProgram } from '../drivers/program.js';
import { probeEcho } from './echo.js';
import type { KeptConnection } from './kept.js';
import { limited, wordsOf } from './limited.js';
import { openMetric } from './metric.js';
import { probeTls } from './tls.js';

export interface CheckSample {
  passed: boolean;
  inconclusive?: true;
  /** Inconclusive for no other reason than that it is too early: a window to be filled, a person to come. */
  notYet?: true;
  detail: string;
  measured?: Measured;
}

/** What of the site a check needs. */
export interface Surroundings {
  /** Where programs run. */
  cwd: string;
  /** Wall clock, epoch ms, and the elapsed clock: certificates end by the one, windows by the other. */
  now: () => number;
  elapsed: () => number;
  /** `person`: who has confirmed, and since when the question stands, by the elapsed clock. */
  answers?: { of: (check: string) => string | undefined; askedAt: number; within: number };
}

/** Takes one sample. Ends shortly after the check's timeout at the latest, or with `signal`. */
export type Probe = (signal: AbortSignal) => Promise<CheckSample>;

/** What of an answer's body is read before the connection is closed. */
const BODY_LIMIT = 64 * 1024;
/** After its own timeout, a check that still has not ended is given up. */
const GRACE_MS = 1_000;

/** `kept`: takes over the connection of a sample that passed; whoever gives it drops it. */
export function openProbe(check: Check, around: Surroundings, kept?: KeptConnection): Probe {
  const probe = probeOf(check, around, kept);
  return async (signal) => {
    let timer: NodeJS.Timeout | undefined;
    const hung = new Promise<CheckSample>((resolve) => {
      timer = setTimeout(() => resolve(unjudged('the check itself hung')), check.timeout + GRACE_MS);
    });
    try {
      return await Promise.race([probe(signal), hung]);
    } catch (error) {
      return unjudged(`the check itself failed: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      clearTimeout(timer);
    }
  };
}

function probeOf(check: Check, around: Surroundings, kept?: KeptConnection): Probe {
  const { cwd, elapsed, now } = around;
  if ('http' in check) return (signal) => probeHttp(check.http, check.expect, check.timeout, signal);
  if ('tcp' in check) return (signal) => probeTcp(check, signal, kept);
  if ('exec' in check) return (signal) => probeProgram(check.exec, cwd, check.timeout, signal);
  if ('tls' in check) return (signal) => probeTls(check, cwd, now, signal);
  if ('metric' in check) return openMetric(check, elapsed);
  if ('peer' in check) return (signal) => probePeer(check.peer, check.timeout, signal);
  return async () => askPerson(check, around);
}

/** A program that ends by itself has judged; one that cannot be started, is killed or hangs has not. */
async function probeProgram(exec: string[], cwd: string, timeout: number, signal: AbortSignal): Promise<CheckSample> {
  const end = await runProgram({ argv: exec, cwd, timeout, signal, leavesNothing: true });
  return end.how === 'exit' ? { passed: end.ok, detail: end.detail } : unjudged(end.detail);
}

async function probePeer(peer: string, timeout: number, signal: AbortSignal): Promise<CheckSample> {
  const address = echoAddressOf(peer);
  if (address === undefined) return unjudged(`expected the address of an echo, got ${peer}`);
  const { echoed, detail } = await probeEcho(address, timeout, signal);
  return { passed: echoed, detail };
}

function askPerson(check: PersonCheck, { answers, elapsed }: Surroundings): CheckSample {
  if (!answers) return unjudged('nobody can be asked here');
  const by = answers.of(check.name);
  if (by !== undefined) return { passed: true, detail: `confirmed by ${by}` };
  const within = check.within ?? answers.within;
  if (elapsed() - answers.askedAt < within) return { ...unjudged(`waits for a person: ${check.person}`), notYet: true };
  return { passed: false, detail: `nobody confirmed within ${within} ms: ${check.person}` };
}

function unjudged(detail: string): CheckSample {
  return { passed: false, inconclusive: true, detail };
}

const UNWANTED = 'no longer wanted';

async function probeHttp(address: string, expect: number, timeout: number, signal: AbortSignal): Promise<CheckSample> {
  return sampled(timeout, signal, (end) => {
    let url: URL;
    try {
      url = new URL(address);
    } catch {
      end(false, `expected an address, got ${address}`);
      return () => undefined;
    }
    const request = url.protocol === 'https:' ? httpsRequest : httpRequest;
    // `agent: false`: a connection of its own for each sample. One kept alive is answered by workers of the old release.
    const call = request(url, { agent: false, headers: { connection: 'close' } }, (answer) => {
      let read = 0;
      const done = () => end(answer.statusCode === expect, `answered ${answer.statusCode}, expected ${expect}`);
      answer.on('data', (chunk: Buffer) => {
        read += chunk.length;
        if (read > BODY_LIMIT) done();
      });
      answer.on('end', done);
      answer.on('error', (error) => end(false, error.message));
      answer.on('aborted', () => end(false, 'the answer was cut short'));
    });
    call.on('error', (error) => end(false, wordsOf(error)));
    call.end();
    return () => call.destroy();
  });
}

async function probeTcp(
  { tcp: address, timeout }: { tcp: string; timeout: number },
  signal: AbortSignal,
  kept?: KeptConnection,
): Promise<CheckSample> {
  const at = hostPortOf(address.replace(/^tcp:\/\//, ''));
  if (!at) return { passed: false, detail: `expected host:port, got ${address}` };
  return sampled(timeout, signal, (end) => {
    let isKept = false;
    const socket = connect(at, () => {
      isKept = kept?.offer(socket) ?? false;
      end(true, `connected to ${address}`);
    });
    socket.on('error', (error) => end(false, wordsOf(error)));
    return () => (isKept ? undefined : socket.destroy());
  });
}

/** A service that does not answer in time was measured bad: it is the service that hangs, not the check. */
async function sampled(
  timeout: number,
  signal: AbortSignal,
  begin: (end: (passed: boolean, detail: string) => void) => () => void,
): Promise<CheckSample> {
  const late = { passed: false, detail: `no answer within ${timeout} ms` };
  return limited<CheckSample>(timeout, signal, { late, unwanted: { passed: false, detail: UNWANTED } }, (end) =>
    begin((passed, detail) => end({ passed, detail })),
  );
}
