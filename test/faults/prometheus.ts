/**
 * A scripted Prometheus over HTTP. Which release a site shows is what its own log says for the time that is asked about;
 * the gate's figure is what the seed's script says. Every answer is kept for the judge.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { GivenAnswer, SiteEntry } from './facts.js';
import { liveAt } from './site-logs.js';

/** How the gate of a stage goes. `late`: nothing at first, good after a second; `slow`: only after its wave has been judged. */
export type GateFate = 'good' | 'bad' | 'late' | 'slow' | 'nothing' | 'down';

export interface ScriptedMetrics {
  gates: Record<string, GateFate>;
  logOf(site: string): SiteEntry[] | undefined;
  /** Live before anything was logged. */
  before: string;
  answers: GivenAnswer[];
}

export interface ScriptedPrometheus {
  url: string;
  /** Answers below `<url>/<name>`. */
  script(name: string, metrics: ScriptedMetrics): void;
  close(): Promise<void>;
}

const LATE_MS = 1_000;
const SLOW_MS = 4_000;
/** What the gate's query looks like; the rest of it is for people. */
export const GATE_QUERY = 'errors{stage="$stage",site=~"$sites"}';

export async function serveScriptedPrometheus(): Promise<ScriptedPrometheus> {
  const scripts = new Map<string, ScriptedMetrics & { asked: Map<string, number> }>();
  const server = createServer((request, response) => {
    readForm(request).then(
      (form) => {
        const name = (request.url ?? '').split('/')[1] ?? '';
        const metrics = scripts.get(name);
        if (metrics) answer(metrics, form, response);
        else response.writeHead(404).end();
      },
      () => response.destroy(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    script: (name, metrics) => void scripts.set(name, { ...metrics, asked: new Map() }),
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return new URLSearchParams(Buffer.concat(chunks).toString('utf8'));
}

function answer(
  metrics: ScriptedMetrics & { asked: Map<string, number> },
  form: URLSearchParams,
  response: ServerResponse,
): void {
  const query = form.get('query') ?? '';
  const at = Math.round(Number(form.get('time')) * 1_000);
  const sites = (/site=~"([^"]*)"/.exec(query)?.[1] ?? '').split('|');
  if (query.includes('foothold_release_info')) return reply(response, shown(metrics, sites, at));
  const stage = /stage="([^"]*)"/.exec(query)?.[1] ?? '';
  const value = figureOf(metrics, stage);
  metrics.answers.push({ stage, at, value });
  if (value === 'error') return void response.writeHead(503).end('down');
  reply(response, value === 'nothing' ? [] : [{ metric: {}, value: [at / 1_000, String(value)] }]);
}

function figureOf({ gates, asked }: ScriptedMetrics & { asked: Map<string, number> }, stage: string) {
  const first = asked.get(stage) ?? Date.now();
  asked.set(stage, first);
  switch (gates[stage] ?? 'good') {
    case 'good':
      return 0.001;
    case 'bad':
      return 0.5;
    case 'late':
      return Date.now() - first < LATE_MS ? 'nothing' : 0.001;
    case 'slow':
      return Date.now() - first < SLOW_MS ? 'nothing' : 0.001;
    case 'nothing':
      return 'nothing';
    case 'down':
      return 'error';
  }
}

function shown(metrics: ScriptedMetrics, sites: string[], at: number) {
  return sites.flatMap((site) => {
    const log = metrics.logOf(site);
    if (!log) return [];
    return [{ metric: { site, digest: liveAt(log, metrics.before, at) }, value: [at / 1_000, String(at / 1_000)] }];
  });
}

function reply(response: ServerResponse, result: unknown[]): void {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ status: 'success', data: { resultType: 'vector', result } }));
}
