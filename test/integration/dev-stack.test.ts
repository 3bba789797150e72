/** The development stack on real programs: starts, answers, survives a kill -9 where it must, and leaves nothing behind. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startPrometheus } from '../../infra/dev/prometheus.js';
import { startTemporal } from '../../infra/dev/temporal.js';
import { SEARCH_ATTRIBUTES } from '../../infra/temporal/settings.js';
import { LoadGenerator } from '../../infra/dev/load/generator.js';
import { freePort } from '../../infra/dev/ports.js';
import { createServer } from 'node:http';

let directory: string;
const toStop: (() => Promise<void> | void)[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'foothold-dev-'));
});
afterEach(async () => {
  for (const stop of toStop.splice(0).reverse()) await stop();
  rmSync(directory, { recursive: true, force: true });
});

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe('Temporal', () => {
  it('has the search attributes, and after kill -9 the same address and the same workflows', async () => {
    const server = await startTemporal({ directory, namespace: 'fleet', ui: true });
    toStop.push(() => server.stop());
    const first = server.pid;
    const connection = await Connection.connect({ address: server.address });
    toStop.push(() => connection.close());
    const client = new Client({ connection, namespace: 'fleet' });

    const listed = await connection.operatorService.listSearchAttributes({ namespace: 'fleet' });
    expect(Object.keys(listed.customAttributes ?? {})).toEqual(expect.arrayContaining(Object.keys(SEARCH_ATTRIBUTES)));
    expect((await fetch(server.uiUrl ?? '')).status).toBe(200);
    await client.workflow.start('nobody-runs-this', { taskQueue: 'nobody', workflowId: 'kept' });

    await server.crash();
    expect(alive(first)).toBe(false);
    await server.restart();

    expect(server.pid).not.toBe(first);
    const kept = await client.workflow.getHandle('kept').describe();
    expect(kept.status.name).toBe('RUNNING');
    const last = server.pid;
    await server.stop();
    expect(alive(last)).toBe(false);
  });

  it('has one partition a queue', async () => {
    const server = await startTemporal({ directory });
    toStop.push(() => server.stop());
    const connection = await Connection.connect({ address: server.address });
    toStop.push(() => connection.close());
    const { activityTaskQueuePartitions } = await connection.workflowService.listTaskQueuePartitions({
      namespace: 'default',
      taskQueue: { name: 'site-osl-01' },
    });
    expect(activityTaskQueuePartitions).toHaveLength(1);
  });
});

describe('Prometheus', () => {
  it('scrapes its targets every second and answers queries, the labels of the target being kept', async () => {
    const load = new LoadGenerator({ sites: [{ id: 'osl-01', url: 'http://127.0.0.1:9/' }], rate: 10, timeout: 100 });
    const port = await freePort();
    const exporter = createServer((_request, response) => {
      void load.registry.metrics().then((text) => response.end(text));
    });
    await new Promise<void>((resolve) => exporter.listen(port, '127.0.0.1', resolve));
    toStop.push(() => void exporter.close());
    toStop.push(() => exporter.closeAllConnections());
    load.start();
    toStop.push(() => load.stop());

    const prometheus = await startPrometheus({
      directory,
      scrapeTargets: [{ address: `127.0.0.1:${port}`, labels: { site: 'not-this' } }],
    });
    toStop.push(() => prometheus.stop());
    const query = 'sum by (site) (rate(http_requests_total{code="000"}[3s]))';
    const ask = async (): Promise<unknown> => {
      const response = await fetch(`${prometheus.url}/api/v1/query?query=${encodeURIComponent(query)}`);
      const answer = (await response.json()) as {
        data: { result: { metric: { site: string }; value: [number, string] }[] };
      };
      return answer.data.result.map(({ metric, value }) => [metric.site, Math.round(Number(value[1]))]);
    };
    await expect.poll(ask, { timeout: 15_000, interval: 200 }).toEqual([['osl-01', 10]]);
    await prometheus.stop();
    expect(alive(prometheus.pid)).toBe(false);
  });
});
