/** Where the demo finds the project's files, and where it keeps its own. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** This file runs as `dist/examples/demo/places.js`. */
const CHECKOUT = fileURLToPath(new URL('../../../', import.meta.url));
export const EXAMPLES = join(CHECKOUT, 'examples');
export const FOOTHOLD = join(CHECKOUT, 'dist', 'bin', 'foothold.cjs');
export const STREAM = 'edge-proxy';

export interface Workplace {
  /** Short, because a site's socket lies below it, and a socket's path holds about a hundred characters. */
  root: string;
  /** The copied project: foothold.yaml, fleet, strategies, releases, depot, registry. */
  project: string;
  logs: string;
  /** A Temporal profile file that says nothing. */
  profiles: string;
}

export function openWorkplace(): Workplace {
  const root = mkdtempSync(join(tmpdir(), 'foothold-demo-'));
  const profiles = join(root, 'temporal.toml');
  writeFileSync(profiles, '[profile.default]\n');
  return { root, project: join(root, 'project'), logs: join(root, 'logs'), profiles };
}

export interface DemoSite {
  id: string;
  region: string;
  url: string;
  /** nginx's prefix; `<prefix>/live` is what Foothold rolls out. */
  prefix: string;
  /** The agent's data directory. */
  data: string;
  /** The memory of the legacy controller. */
  controller: string;
  agentFile: string;
  /** `host:port` of the agent's /metrics. */
  metrics: string;
  vars: Record<string, string | number | boolean>;
}
