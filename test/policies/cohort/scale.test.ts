import { expect, test } from 'vitest';
import { planRollout } from '../../../policies/cohort/plan.js';
import { declaredReport } from '../../../policies/preflight/facts.js';
import { judgePreflight } from '../../../policies/preflight/judge.js';
import { digestOf } from '../../../policies/signing/jcs.js';
import { fleetOf, RELEASE, site, strategyOf } from './fleet-of.js';

test('10,000 sites in 40 regions are planned and judged in seconds', () => {
  const sites = Array.from({ length: 10_000 }, (_, i) =>
    site(`s${i}`, { region: `r${i % 40}`, redundancyGroup: `g${Math.floor(i / 2)}` }),
  );
  const strategy = strategyOf([{ name: 'regions', each: 'region', waves: ['1%', '10%', '50%'] }]);
  const began = performance.now();
  const { plan } = planRollout({ release: RELEASE, fleet: fleetOf(...sites), strategy, strategyDigest: 'x', digestOf });
  const written = {
    ...{ apiVersion: 'foothold/v1', kind: 'Release', stream: 'edge-proxy', version: '2.4.0', watchFor: '0s' },
    requires: { firmware: '>=3' },
    driver: { type: 'directory', files: './files', target: '/etc/x' },
    checks: [{ name: 'answers', http: 'http://{{listen}}/' }],
  };
  const facts = sites.map(({ id, vars, streams }) => ({
    ...{ id, vars, streams, declaredVersions: {}, allowed: false },
    report: declaredReport({ id, versions: { firmware: '3.4.1' } }),
  }));
  const verdict = judgePreflight({ ref: RELEASE, written, templates: [] }, facts);
  expect(plan.stages.flatMap((stage) => stage.waves.flatMap((wave) => wave.sites))).toHaveLength(10_000);
  expect(verdict.blocked).toBe(false);
  expect(performance.now() - began).toBeLessThan(5_000);
});
