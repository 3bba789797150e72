/** A real Prometheus, told by a file what to scrape. */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram } from '../programs/find.js';
import { freePort } from './ports.js';
import { answers, startProcess } from './process.js';

/** `address` is `host:port`; labels are added to every series of the target, but never replace its own. */
export interface ScrapeTarget {
  address: string;
  labels?: Record<string, string>;
}

export interface PrometheusOptions {
  directory: string;
  scrapeTargets: ScrapeTarget[];
  /** Also the timeout of a scrape. Default `1s`. */
  scrapeInterval?: string;
}

export interface Prometheus {
  readonly url: string;
  readonly pid: number;
  /** Replaces the list; Prometheus notices within a few seconds. */
  setTargets(targets: ScrapeTarget[]): void;
  stop(): Promise<void>;
}

export async function startPrometheus(options: PrometheusOptions): Promise<Prometheus> {
  const { directory, scrapeInterval = '1s' } = options;
  const program = await findProgram('prometheus');
  mkdirSync(directory, { recursive: true });
  const targetsFile = join(directory, 'targets.json');
  const setTargets = (targets: ScrapeTarget[]): void => writeTargets(targetsFile, targets);
  setTargets(options.scrapeTargets);
  const config = join(directory, 'prometheus.yml');
  writeFileSync(config, configuration(targetsFile, scrapeInterval));

  const address = `127.0.0.1:${await freePort()}`;
  const server = await startProcess({
    name: 'prometheus',
    directory,
    path: program.path,
    env: { ...process.env, ...program.env },
    args: [
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(directory, 'data')}`,
      `--web.listen-address=${address}`,
      '--log.level=warn',
    ],
    within: 60_000,
    ready: () => answers(`http://${address}/-/ready`),
  });
  return { url: `http://${address}`, pid: server.pid, setTargets, stop: () => server.stop() };
}

/** `honor_labels`: the `site` that a target states of itself stays, whatever the scrape would add. */
function configuration(targetsFile: string, interval: string): string {
  return `global:
  scrape_interval: ${interval}
  scrape_timeout: ${interval}
scrape_configs:
  - job_name: foothold
    honor_labels: true
    file_sd_configs:
      - files: [${JSON.stringify(targetsFile)}]
        refresh_interval: 5s
`;
}

/** Renamed into place: a half-written list would drop every target. */
function writeTargets(file: string, targets: ScrapeTarget[]): void {
  const groups = targets.map(({ address, labels }) => ({ targets: [address], labels: labels ?? {} }));
  writeFileSync(`${file}.new`, JSON.stringify(groups));
  renameSync(`${file}.new`, file);
}
