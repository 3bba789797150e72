/** One sample of one check. Never throws: whatever goes wrong is a failed sample with a reason for people. */
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import type { Check } from '../../policies/model/release.js';
import { runProgram } from '../drivers/program.js';

export interface CheckSample {
  passed: boolean;
  detail: string;
}

/** What of an answer's body is read before the connection is closed. */
const BODY_LIMIT = 64 * 1024;

/** `cwd` is where programs run. Ends at the check's timeout at the latest, or with `signal`. */
export async function probeCheck(check: Check, cwd: string, signal: AbortSignal): Promise<CheckSample> {
  if ('http' in check) return probeHttp(check.http, check.expect, check.timeout, signal);
  if ('tcp' in check) return probeTcp(check.tcp, check.timeout, signal);
  if ('exec' in check) {
    const end = await runProgram({ argv: check.exec, cwd, timeout: check.timeout, signal });
    return { passed: end.ok, detail: end.detail };
  }
  return { passed: false, detail: 'this kind of check is not available yet' };
}

async function probeHttp(address: string, expect: number, timeout: number, signal: AbortSignal): Promise<CheckSample> {
  return limited(timeout, signal, (end) => {
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
    call.on('error', (error) => end(false, messageOf(error)));
    call.end();
    return () => call.destroy();
  });
}

async function probeTcp(address: string, timeout: number, signal: AbortSignal): Promise<CheckSample> {
  const found = /^(?:tcp:\/\/)?(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(address);
  const host = found?.[1] ?? found?.[2];
  const port = Number(found?.[3]);
  if (host === undefined || port > 65_535) return { passed: false, detail: `expected host:port, got ${address}` };
  return limited(timeout, signal, (end) => {
    const socket = connect({ host, port }, () => end(true, `connected to ${address}`));
    socket.on('error', (error) => end(false, messageOf(error)));
    return () => socket.destroy();
  });
}

type End = (passed: boolean, detail: string) => void;

/** Runs `begin` (which returns how to stop) to its first end, the timeout, or the signal. */
async function limited(timeout: number, signal: AbortSignal, begin: (end: End) => () => void): Promise<CheckSample> {
  return new Promise((resolve) => {
    let ended = false;
    // Filled in after `begin`, which may end at once.
    const under: { stop?: () => void } = {};
    const end: End = (passed, detail) => {
      if (ended) return;
      ended = true;
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
      under.stop?.();
      resolve({ passed, detail });
    };
    const abort = () => end(false, 'no longer wanted');
    const timer = setTimeout(() => end(false, `no answer within ${timeout} ms`), timeout);
    signal.addEventListener('abort', abort, { once: true });
    under.stop = begin(end);
    if (ended) under.stop();
    else if (signal.aborted) abort();
  });
}

/** Connecting to a name with several addresses fails with an AggregateError, whose own message is empty. */
function messageOf(error: Error): string {
  if (error instanceof AggregateError) return error.errors.map(String).join('; ');
  return error.message;
}
