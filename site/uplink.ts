/**
 * The uplink of a site (design §5 rule 3): whether any of the endpoints that it declares echoes. Asked only for a release
 * that says `uplink: required`; for every other, link loss alone is not ill health.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Reason } from '../policies/model/verdict.js';
import { isEchoFresh } from '../policies/site/decide-uplink.js';
import { probeEcho, type EchoEnd } from './checks/echo.js';
import type { SiteContext } from './context.js';
import { refuseLate, Rejection } from './stage.js';
import type { CommandRow, HeldRow } from './store/rows.js';

const ECHO_TIMEOUT_MS = 4_000;
const RETRY_MS = 2_000;

export function needsUplink({ release }: Pick<HeldRow, 'release'>): boolean {
  return release.confirm.uplink === 'required';
}

/** Asks all endpoints at once; one that echoes is enough. Never throws. */
export async function probeUplink(context: SiteContext, signal: AbortSignal): Promise<EchoEnd> {
  const over = new AbortController();
  // No AbortSignal.any: what follows a signal by it is kept as long as that lives, and a site may wait here for weeks.
  const stop = () => over.abort();
  signal.addEventListener('abort', stop);
  if (signal.aborted) stop();
  const begunAt = context.clock.elapsed();
  const asked = context.uplink.map(async (endpoint) => {
    const end = await probeEcho(endpoint, ECHO_TIMEOUT_MS, over.signal);
    if (!end.echoed) throw new Error(end.detail);
    return end;
  });
  try {
    const end = await Promise.any(asked);
    context.lastEcho = { bootId: context.clock.bootId(), elapsed: begunAt };
    return end;
  } catch (error) {
    const words = error instanceof AggregateError ? error.errors.map((one) => (one as Error).message) : [String(error)];
    return { echoed: false, detail: words.join('; ') };
  } finally {
    signal.removeEventListener('abort', stop);
    stop();
  }
}

/** Waits, staged, until an endpoint has echoed just now. Throws Rejection once `switchBy` is past, or with none declared. */
export async function untilEchoed(
  context: SiteContext,
  row: CommandRow,
  held: HeldRow,
  signal: AbortSignal,
): Promise<void> {
  if (!needsUplink(held)) return;
  if (context.uplink.length === 0) {
    const detail = 'the release says uplink: required; expected endpoints under `uplink` in agent.yaml, there are none';
    throw new Rejection({ code: 'UPLINK_UNDECLARED', detail });
  }
  try {
    while (!isEchoed(context)) {
      const { echoed, detail } = await probeUplink(context, signal);
      signal.throwIfAborted();
      if (echoed) return;
      tellWaiting(context, held, { code: 'UPLINK_WAITS', detail });
      refuseLate(context, row);
      await sleep(RETRY_MS, undefined, { signal });
    }
  } finally {
    context.waits.delete(held.stream);
  }
}

/** True if the switch may begin now, without asking anybody. */
export function mayBeginSwitch(context: SiteContext, held: HeldRow): boolean {
  return !needsUplink(held) || isEchoed(context);
}

function isEchoed({ lastEcho, clock }: SiteContext): boolean {
  return isEchoFresh(lastEcho, { bootId: clock.bootId(), elapsed: clock.elapsed() });
}

function tellWaiting(context: SiteContext, held: HeldRow, reason: Reason): void {
  if (!context.waits.has(held.stream)) {
    context.log.warn({ stream: held.stream, reason }, 'staged, and not switched before an endpoint echoes');
  }
  context.waits.set(held.stream, reason);
}
