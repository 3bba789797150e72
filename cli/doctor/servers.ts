/** What doctor asks over HTTP: the depot as sites read it, and Prometheus. */
import axios from 'axios';
import type { Context } from '../context.js';
import { examine, missing, ok, type Examined } from './examined.js';

const ANSWER_WITHIN = 5_000;

export async function probeDepotReading(context: Context): Promise<Examined[]> {
  const { depot } = await context.project();
  if (!/^https?:/.test(depot.read)) return [];
  const mend = `foothold depot serve ${depot.write} --listen ${listenOf(depot.read)}`;
  return examine(
    'depot read',
    async () => {
      const status = await statusOf(depot.read);
      // Any answer below 500 is a server that answers: a depot need not list its root.
      return status < 500
        ? [ok('depot read', depot.read)]
        : [missing('depot read', `${depot.read} answers ${status}`, mend)];
    },
    mend,
  );
}

export async function probePrometheus(context: Context): Promise<Examined[]> {
  const { prometheus } = await context.project();
  const needed = 'gates need it: name it as `prometheus:` in foothold.yaml';
  if (prometheus === undefined) return [missing('prometheus', 'the project names none', needed)];
  const url = new URL('-/ready', prometheus.endsWith('/') ? prometheus : `${prometheus}/`).href;
  return examine(
    'prometheus',
    async () => {
      const status = await statusOf(url);
      return status === 200 ? [ok('prometheus', prometheus)] : [missing('prometheus', `${url} answers ${status}`)];
    },
    'start it, or correct `prometheus:` in foothold.yaml',
  );
}

async function statusOf(url: string): Promise<number> {
  const response = await axios.get<unknown>(url, {
    timeout: ANSWER_WITHIN,
    signal: AbortSignal.timeout(ANSWER_WITHIN),
    validateStatus: () => true,
    maxContentLength: 1_000_000,
    proxy: false,
  });
  return response.status;
}

function listenOf(read: string): string {
  const { hostname, port } = new URL(read);
  return `${hostname}:${port || '80'}`;
}
