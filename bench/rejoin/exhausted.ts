/** What the SDK counts of its own calls: each attempt that the server refused, whether it was tried again or not. */
import { request } from 'node:http';

export interface Counted {
  requests: number;
  /** By operation, long polls included. */
  operations: Record<string, number>;
  resourceExhausted: number;
  /** By operation and code: everything that failed, long polls included. */
  failures: Record<string, number>;
}

/** Reads the exposition of one process. Pure. */
export function countCalls(exposition: string): Counted {
  const counted: Counted = { requests: 0, operations: {}, resourceExhausted: 0, failures: {} };
  for (const line of exposition.split('\n')) {
    const [, name = '', labels = '', value = ''] = /^(temporal_\w+)\{(.*)\} ([\d.eE+]+)$/.exec(line) ?? [];
    const count = Number(value);
    const operation = /operation="([^"]*)"/.exec(labels)?.[1] ?? 'unknown';
    if (/^temporal_(long_)?request(_total)?$/.test(name)) {
      counted.requests += count;
      add(counted.operations, operation, count);
    }
    if (!/^temporal_(long_)?request_failure(_total)?$/.test(name)) continue;
    const code = /status_code="([^"]*)"/.exec(labels)?.[1] ?? 'none';
    add(counted.failures, `${operation} ${code}`, count);
    if (code.replace('_', '').toLowerCase() === 'resourceexhausted') counted.resourceExhausted += count;
  }
  return counted;
}

export function sum(all: Counted[]): Counted {
  const total: Counted = { requests: 0, operations: {}, resourceExhausted: 0, failures: {} };
  for (const { requests, operations, resourceExhausted, failures } of all) {
    total.requests += requests;
    total.resourceExhausted += resourceExhausted;
    for (const [key, count] of Object.entries(operations)) add(total.operations, key, count);
    for (const [key, count] of Object.entries(failures)) add(total.failures, key, count);
  }
  return total;
}

function add(counts: Record<string, number>, key: string, count: number): void {
  counts[key] = (counts[key] ?? 0) + count;
}

export function readMetrics(address: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request(`http://${address}/metrics`, { agent: false, timeout: 10_000 }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      answer.on('end', () => resolve(text));
      answer.on('error', reject);
    });
    call.on('timeout', () => call.destroy(new Error(`no metrics from ${address}`)));
    call.on('error', reject);
    call.end();
  });
}
