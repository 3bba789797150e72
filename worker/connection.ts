/** Connections to Temporal, from the same environment and profile file that the Temporal CLI reads. */
import { loadClientConnectConfig } from '@temporalio/envconfig';
import { NativeConnection, type NativeConnectionOptions } from '@temporalio/worker';
import { MistakeError } from '../policies/model/failure.js';
import type { Log } from './log.js';

/** What the caller set by hand; it wins over environment and profile. */
export interface TemporalChoice {
  address?: string | undefined;
  namespace?: string | undefined;
  profile?: string | undefined;
}

export interface TemporalSettings {
  connection: NativeConnectionOptions;
  namespace: string;
}

export function readTemporalSettings(choice: TemporalChoice): TemporalSettings {
  const loaded = loadProfile(choice);
  const { address, tls, metadata, apiKey } = loaded.connectionOptions;
  return {
    connection: {
      address: choice.address ?? address ?? '127.0.0.1:7233',
      ...(tls === undefined ? {} : { tls }),
      ...(metadata === undefined ? {} : { metadata }),
      ...(apiKey === undefined ? {} : { apiKey }),
    },
    namespace: choice.namespace ?? loaded.namespace ?? 'default',
  };
}

function loadProfile(choice: TemporalChoice): ReturnType<typeof loadClientConnectConfig> {
  try {
    return loadClientConnectConfig(choice.profile === undefined ? {} : { profile: choice.profile });
  } catch (error) {
    const which = choice.profile === undefined ? 'the default profile' : `profile ${choice.profile}`;
    const message = `expected ${which} of the Temporal profile file or TEMPORAL_… to be readable: ${causeOf(error)}`;
    throw new MistakeError('BAD_ARGUMENT', message);
  }
}

export interface Patience {
  firstMs: number;
  mostMs: number;
}

/**
 * Connects, however long it takes: the SDK does not retry this. Back-off doubles, with jitter, so that a fleet does
 * not come back in step. Undefined once `signal` is aborted.
 */
export async function connectPatiently(
  settings: TemporalSettings,
  patience: Patience,
  signal: AbortSignal,
  log: Log,
): Promise<NativeConnection | undefined> {
  let waitMs = patience.firstMs;
  while (!signal.aborted) {
    try {
      return await NativeConnection.connect(settings.connection);
    } catch (error) {
      const retryMs = Math.round(waitMs * (0.5 + Math.random()));
      log.warn({ address: settings.connection.address, cause: causeOf(error), retryMs }, 'Temporal cannot be reached');
      await pause(retryMs, signal);
      waitMs = Math.min(waitMs * 2, patience.mostMs);
    }
  }
  return undefined;
}

export function causeOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Sleeps, or less if `signal` is aborted. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
  });
}
