/** What the activity's tests stand on: an address that answers as told, a registry in memory, a clock that sleeps move. */
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { asyncLocalStorage, CancelledFailure, Context, type Info } from '@temporalio/activity';
import type { Registry } from '../../../records/registry/registry.js';
import type { Sample } from '../../../policies/model/verdict.js';

export interface Listener {
  url: string;
  close(): Promise<void>;
}

export async function listen(handler: RequestListener): Promise<Listener> {
  const server: Server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

type SampleStore = Pick<Registry, 'samples' | 'putSamples'>;

/** The registry's two methods for samples, by their contract: idempotent by (rollout, stage, wave, metric, time). */
export function sampleStore(): SampleStore & { rows: Map<string, Sample & { stage: string; wave: number }> } {
  const rows = new Map<string, Sample & { stage: string; wave: number }>();
  return {
    rows,
    async putSamples(firstRunId, stage, wave, samples) {
      for (const sample of samples) {
        const key = [firstRunId, stage, wave, sample.metric, sample.scheduledAt].join(' ');
        if (!rows.has(key)) rows.set(key, structuredClone({ ...sample, stage, wave }));
      }
    },
    async samples(firstRunId, stage, wave) {
      return [...rows]
        .filter(([key, row]) => key.startsWith(`${firstRunId} `) && row.stage === stage && row.wave === wave)
        .map(([, row]) => row);
    },
  };
}

export interface Run {
  heartbeats: unknown[];
  cancel(): void;
  /** Runs in the SDK's own context, as a worker would. */
  inside<T>(work: () => Promise<T>): Promise<T>;
}

export function activityRun(): Run {
  const heartbeats: unknown[] = [];
  const controller = new AbortController();
  let reject: (error: Error) => void = () => undefined;
  const cancelled = new Promise<never>((_, no) => {
    reject = no;
  });
  cancelled.catch(() => undefined);
  const context = new Context(
    { activityType: 'sampleGate' } as Info,
    cancelled,
    controller.signal,
    (details) => heartbeats.push(details),
    undefined,
    undefined as never,
    undefined as never,
    {},
  );
  return {
    heartbeats,
    cancel() {
      const failure = new CancelledFailure('CANCELLED');
      controller.abort(failure);
      reject(failure);
    },
    inside: (work) => asyncLocalStorage.run(context, work),
  };
}

/** Sleeping moves the clock and nothing else does. */
export function clock(start: number) {
  const it = {
    time: start,
    now: () => it.time,
    sleep: async (ms: number) => {
      it.time += Math.max(1, ms);
    },
  };
  return it;
}
