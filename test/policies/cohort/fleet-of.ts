/** Resolved fleets and strategies for the cohort tests: only what a case is about has to be written. */
import type { ResolvedFleet, Site } from '../../../policies/model/fleet.js';
import type { ReleaseRef } from '../../../policies/model/release.js';
import { Strategy } from '../../../policies/model/strategy.js';

export const RELEASE: ReleaseRef = { stream: 'edge-proxy', version: '2.4.0', digest: `sha256:${'a'.repeat(64)}` };

export function site(id: string, more: Partial<Site> = {}): Site {
  return {
    id,
    risk: 'high',
    link: { name: 'cellular', settleWithin: 7_200_000, startWithin: 60_000, heartbeat: 30_000 },
    queue: `site-${id}`,
    streams: ['edge-proxy'],
    versions: {},
    vars: { listen: `10.0.0.1:${id.length}` },
    state: 'active',
    ...more,
  };
}

export function fleetOf(...sites: Site[]): ResolvedFleet {
  return { digest: `sha256:${'f'.repeat(64)}`, sites };
}

/** A parsed strategy; stages without a gate of their own get `gate: none`. */
export function strategyOf(stages: Record<string, unknown>[], more: Record<string, unknown> = {}): Strategy {
  return Strategy.parse({
    apiVersion: 'foothold/v1',
    kind: 'Strategy',
    name: 'careful',
    defaults: { gate: 'none', because: 'this test has no metrics' },
    stages,
    ...more,
  });
}
