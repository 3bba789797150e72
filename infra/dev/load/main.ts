/**
 * The load generator as a process of its own, so that its figures do not wait for the program that reads them.
 * Input: LoadOptions as JSON in the first argument, the port in the second. Answers `/metrics` (for Prometheus),
 * `/count?site=&from=&to=` and `/outage?site=&from=`.
 */
import { createServer } from 'node:http';
import { LoadGenerator, type LoadOptions } from './generator.js';

const [options, port] = process.argv.slice(2);
const generator = new LoadGenerator(JSON.parse(options ?? '') as LoadOptions);

async function answer(url: URL): Promise<{ status: number; type: string; body: string }> {
  const json = (value: unknown) => ({ status: 200, type: 'application/json', body: JSON.stringify(value) });
  const site = url.searchParams.get('site') ?? '';
  const from = Number(url.searchParams.get('from') ?? 0);
  const to = Number(url.searchParams.get('to') ?? Date.now());
  switch (url.pathname) {
    case '/metrics':
      return { status: 200, type: generator.registry.contentType, body: await generator.registry.metrics() };
    case '/count':
      return json(generator.count(site, from, to));
    case '/outage':
      return json(generator.outage(site, from) ?? null);
    default:
      return { status: 404, type: 'text/plain', body: 'expected /metrics, /count or /outage\n' };
  }
}

createServer((incoming, response) => {
  answer(new URL(incoming.url ?? '/', 'http://load')).then(
    ({ status, type, body }) => response.writeHead(status, { 'content-type': type }).end(body),
    (error: unknown) => response.writeHead(400, { 'content-type': 'text/plain' }).end(String(error)),
  );
}).listen(Number(port), '127.0.0.1', () => generator.start());
