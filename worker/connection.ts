/** Connections to Temporal, from the same environment and profile file that the Temporal CLI reads. */
import { loadClientConnectConfig } from '@temporalio/envconfig';
import { NativeConnection, type NativeConnectionOptions } from '@temporalio/worker';
import { MistakeError } from '../policies/model/failure.js';
import { retryPause, type LinkTimers } from '../policies/model/link.js';
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

export type Patience = Pick<LinkTimers, 'firstRetry' | 'mostRetry'>;

export interface Connected {
  connection: NativeConnection;
  settings: TemporalSettings;
}

/**
 * Connects, however long it takes: the SDK does not retry this. The settings are read anew for every attempt: whoever
 * mends a profile or renews a certificate restarts nothing. Undefined once `signal` is aborted.
 */
export async function connectPatiently(
  read: () => TemporalSettings,
  patience: Patience,
  signal: AbortSignal,
  log: Log,
  onFailure: (cause: string, failures: number) => void = () => undefined,
): Promise<Connected | undefined> {
  for (let failures = 1; !signal.aborted; failures += 1) {
    let address = 'Temporal';
    try {
      const settings = read();
      address = settings.connection.address ?? address;
      return { connection: await NativeConnection.connect(settings.connection), settings };
    } catch (error) {
      const retryMs = retryPause(patience, failures, Math.random());
      const cause = `${address} cannot be reached: ${causeOf(error)}`;
      onFailure(cause, failures);
      log.warn({ address, cause: causeOf(error), retryMs }, 'Temporal cannot be reached');
      await pause(retryMs, signal);
    }
  }
  return undefined;
}

/**
 * Never throws; resolves with the reason if it could not be closed. The SDK leaves behind what carries the deadline of a call:
 * each of them makes every promise of the process dearer (200 of them sixfold), and an agent connects anew for months.
 */
export async function closeConnection(connection: NativeConnection): Promise<string | undefined> {
  try {
    await connection.close();
    return undefined;
  } catch (error) {
    return causeOf(error);
  } finally {
    connection.callContextStorage.disable();
  }
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
