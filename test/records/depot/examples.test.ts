/** The files that people copy: they can be published, and planned and judged against the example fleet. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { planRollout } from '../../../policies/cohort/plan.js';
import { declaredReport } from '../../../policies/preflight/facts.js';
import { judgePreflight } from '../../../policies/preflight/judge.js';
import { digestOf } from '../../../policies/signing/jcs.js';
import { openDepot } from '../../../records/depot/open-depot.js';
import { publishRelease } from '../../../records/depot/publish.js';
import { loadFleet } from '../../../records/files/fleet-file.js';
import { loadStrategies } from '../../../records/files/strategy-file.js';
import { scratch } from './scratch.js';

const EXAMPLES = join(import.meta.dirname, '../../../examples');

test('[A29] [A30] every example release can be published, planned by every example strategy, and judged', async () => {
  const directory = await scratch();
  const depot = openDepot(directory);
  const fleet = await loadFleet(join(EXAMPLES, 'fleet.yaml'));
  const strategies = await loadStrategies(join(EXAMPLES, 'strategies'));
  const releases = await readdir(join(EXAMPLES, 'releases'));
  expect(releases.length).toBeGreaterThan(0);
  expect(strategies.size).toBeGreaterThan(0);
  for (const name of releases) {
    const { ref } = await publishRelease(join(EXAMPLES, 'releases', name), directory);
    const published = await depot.release(ref.stream, ref.version);
    const templates = await depot.templateTexts(published);
    for (const { strategy, digest } of strategies.values()) {
      const { plan, sites } = planRollout({ release: ref, fleet, strategy, strategyDigest: digest, digestOf });
      const planned = plan.stages.flatMap((stage) => stage.waves.flatMap((wave) => wave.sites.map((site) => site.id)));
      expect(planned.sort()).toEqual(Object.keys(sites).sort());
    }
    // The demo's requirements are met by what its agents report: every example site declares what is asked for here.
    const versions = Object.fromEntries(Object.keys(published.release.requires).map((key) => [key, '3.4.1']));
    const verdict = judgePreflight(
      { ref, written: published.manifest.release, templates },
      fleet.sites.map((site) => ({
        id: site.id,
        vars: site.vars,
        streams: site.streams,
        declaredVersions: site.versions,
        report: declaredReport({ id: site.id, versions: { ...versions, ...site.versions } }),
        allowed: false,
      })),
    );
    expect(verdict.findings.filter((finding) => finding.result === 'block')).toEqual([]);
  }
});
