/** The way to Temporal: the same profile file and environment that the `temporal` command reads; flags win over both. */
import { connect } from 'node:net';
import type { Client, Connection } from '@temporalio/client';
import { MistakeError, WorldError } from '../policies/model/failure.js';

export interface TemporalFlags {
  address?: string;
  namespace?: string;
  profile?: string;
}

export interface TemporalTarget {
  address: string;
  namespace: string;
}

export interface OpenTemporal {
  client: Client;
  connection: Connection;
  target: TemporalTarget;
}

/** How long a connection may take: a black-holed address must not keep a person waiting at three in the morning. */
export const CONNECT_WITHIN = 5_000;

/** Throws MistakeError for a profile that cannot be read, WorldError `TEMPORAL_UNREACHABLE` otherwise. */
export async function openTemporal(
  flags: TemporalFlags,
  env: NodeJS.ProcessEnv,
  within = CONNECT_WITHIN,
): Promise<OpenTemporal> {
  const { connectionOptions, target } = await temporalTarget(flags, env);
  try {
    await failAtOnceIfRefused(target.address, env);
    // Only now: the client takes longer to load than all the rest of a reader, which must answer with Temporal down.
    const { Client, Connection } = await import('@temporalio/client');
    const connection = await Connection.connect({ ...connectionOptions, connectTimeout: within });
    return { connection, client: new Client({ connection, namespace: target.namespace }), target };
  } catch (error) {
    throw new WorldError(
      'TEMPORAL_UNREACHABLE',
      `expected Temporal at ${target.address} (namespace ${target.namespace}), got no answer: start it, or say where it is with --address, TEMPORAL_ADDRESS or --profile`,
      { cause: error },
    );
  }
}

/**
 * gRPC goes on trying a closed port until its patience ends; a person who asks for the status need not wait for that.
 * Only a plain refusal is believed: whatever else happens is for the real connection to find out.
 */
async function failAtOnceIfRefused(address: string, env: NodeJS.ProcessEnv): Promise<void> {
  const { hostname, port } = new URL(`http://${address}`);
  const proxied = ['grpc_proxy', 'https_proxy', 'http_proxy'].some((name) => (env[name] ?? '') !== '');
  if (proxied && hostname !== 'localhost' && !hostname.startsWith('127.')) return;
  const socket = connect({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || '7233') });
  socket.setTimeout(500);
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('timeout', resolve);
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED') reject(error);
      else resolve();
    });
  }).finally(() => socket.destroy());
}

/** Where Temporal is, without touching it. */
export async function temporalTarget(flags: TemporalFlags, env: NodeJS.ProcessEnv) {
  const { loadClientConnectConfig } = await import('@temporalio/envconfig');
  const config = readConfig(() =>
    loadClientConnectConfig({
      overrideEnvVars: onlyStrings(env),
      ...(flags.profile === undefined ? {} : { profile: flags.profile }),
    }),
  );
  const { address, apiKey, tls, metadata } = config.connectionOptions;
  const target = {
    address: flags.address ?? address ?? 'localhost:7233',
    namespace: flags.namespace ?? config.namespace ?? 'default',
  };
  const connectionOptions = {
    address: target.address,
    ...(apiKey === undefined ? {} : { apiKey }),
    ...(tls === undefined ? {} : { tls }),
    ...(metadata === undefined ? {} : { metadata }),
  };
  return { target, connectionOptions };
}

function readConfig<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    throw new MistakeError(
      'BAD_ARGUMENT',
      `expected a readable Temporal profile, got: ${said}; look at TEMPORAL_CONFIG_FILE, TEMPORAL_PROFILE and --profile`,
    );
  }
}

function onlyStrings(env: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined));
}
