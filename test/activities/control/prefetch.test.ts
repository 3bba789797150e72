/** Wishes for files as the centre signs them, and who it counts to have them; with a real registry. */
import { generateKeyPairSync } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ControlDeps } from '../../../activities/control/deps.js';
import { countPrefetched, issuePrefetches } from '../../../activities/control/prefetch.js';
import { planRollout } from '../../../policies/cohort/plan.js';
import type { Site } from '../../../policies/model/fleet.js';
import type { StreamReport } from '../../../policies/model/report.js';
import { Strategy } from '../../../policies/model/strategy.js';
import { openEnvelope, openPrefetch } from '../../../policies/signing/dsse.js';
import { digestOf } from '../../../policies/signing/jcs.js';
import { sealPlan } from '../../../policies/signing/plan-digest.js';
import { openRegistry } from '../../../records/registry/open.js';
import type { Registry } from '../../../records/registry/registry.js';
import { Journal, report } from '../../records/registry/facts.js';

const keys = generateKeyPairSync('ed25519');
const publicPem = keys.publicKey.export({ type: 'spki', format: 'pem' }).toString();
const release = { stream: 'edge-proxy', version: '2.4.0', digest: `sha256:${'a'.repeat(64)}` };
let registry: Registry;
let deps: ControlDeps;
let planDigest: string;

const site = (id: string, bandwidth?: number): Site => ({
  id,
  risk: 'low',
  link: { name: 'l', settleWithin: 1, startWithin: 1, heartbeat: 1, ...(bandwidth === undefined ? {} : { bandwidth }) },
  queue: `site-${id}`,
  streams: ['edge-proxy'],
  versions: {},
  vars: {},
  state: 'active',
});
const SITES = [site('osl-01', 128_000), site('osl-02'), site('osl-03'), site('osl-04')];

beforeEach(async () => {
  registry = await openRegistry('sqlite::memory:');
  const controlKeyPem = keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  deps = { registry, controlKeyPem, now: () => 1_000 } as ControlDeps;
  const strategy = Strategy.parse({
    ...{ apiVersion: 'foothold/v1', kind: 'Strategy', name: 'careful', prefetch: '24h' },
    stages: [{ name: 'all', gate: 'none', because: 'a test' }],
  });
  const fleet = { digest: 'f', sites: SITES };
  const { plan, sites } = planRollout({ release, fleet, strategy, strategyDigest: 's', digestOf });
  expect(plan.strategy.prefetch).toBe(86_400_000);
  const frozen = { plan: sealPlan(plan), sites };
  planDigest = frozen.plan.digest;
  const run = { workflowId: 'w', firstRunId: 'r', runId: 'r', continuation: 0 };
  await registry.freeze(frozen, run, 1);
});
afterEach(() => registry.close());

async function speak(id: string, word: string, stream?: Partial<StreamReport>): Promise<void> {
  const event = new Journal(id).add('started', { detail: { word } });
  const idle: StreamReport = { state: 'idle', generation: 0, try: 0, checks: [] };
  const streams: Record<string, StreamReport> = stream ? { 'edge-proxy': { ...idle, ...stream } } : {};
  await registry.recordSiteEvents({ ...report(id, { at: 1, head: event.hash }), streams }, [event], 1);
}

const input = () => ({ label: 'edge-proxy-2.4.0-1', planDigest, release, generation: 7, sites: [], until: 9_000 });
const outline = SITES.map(({ id }) => ({ id, link: 'l' }));

describe('wishes for files', () => {
  it('are signed, say what the link class has to give, and are no commands', async () => {
    const issued = await issuePrefetches(deps, input(), outline);
    expect(issued.map((one) => [one.site, one.queue, one.page.commands])).toEqual(
      SITES.map(({ id }) => [id, `site-${id}`, []]),
    );
    const wishes = issued.map(({ page }) => openPrefetch(page.prefetches?.[0]?.envelope, [publicPem]));
    expect(wishes[0]).toEqual({
      ...{ version: 1, rollout: 'edge-proxy-2.4.0-1', site: 'osl-01', stream: 'edge-proxy', generation: 7 },
      ...{ digest: release.digest, releaseVersion: '2.4.0', issuedAt: 1_000, bytesPerSecond: 16_000 },
      ackedThrough: { epoch: 1, sequence: 0 },
    });
    expect(wishes[1]).not.toHaveProperty('bytesPerSecond');
    expect(openEnvelope(issued[0]?.page.prefetches?.[0]?.envelope, [publicPem])).toBeUndefined();
  });

  it('are for the epoch that the site is in; none where it is not clear who speaks for it, or it was retired', async () => {
    await registry.replace({ site: 'osl-02', token: { id: 't', expiresAt: 99 }, by: 'anna', reason: 'new box' }, 3);
    await speak('osl-03', 'first');
    await speak('osl-03', 'another');
    await registry.retire({ site: 'osl-04', by: 'anna', reason: 'sold' }, 4);
    const issued = await issuePrefetches(deps, input(), outline);
    expect(issued.map((one) => one.site)).toEqual(['osl-01', 'osl-02']);
    expect(openPrefetch(issued[1]?.page.prefetches?.[0]?.envelope, [publicPem])?.epoch).toBe(2);
  });
});

describe('who has the files', () => {
  it('is counted by what each site reported last: all of them, some, those of another release, nothing', async () => {
    expect(await countPrefetched(deps, planDigest)).toEqual({ sites: 4, whole: 0, underWay: 0 });
    const has = (digest: string, whole: boolean) => ({ prefetched: { version: '2.4.0', digest, whole } });
    await speak('osl-01', 'a', has(release.digest, true));
    await speak('osl-02', 'a', has(release.digest, false));
    await speak('osl-03', 'a', has(`sha256:${'b'.repeat(64)}`, true));
    await speak('osl-04', 'a', { live: { version: '2.4.0', digest: release.digest } });
    expect(await countPrefetched(deps, planDigest)).toEqual({ sites: 4, whole: 2, underWay: 1 });
  });
});
