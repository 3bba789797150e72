/** Which sites hold a release in quarantine that nobody has allowed there: trying it again would only be refused. */
import { isAllowed, quarantineOf } from '../../policies/preflight/facts.js';
import type { ControlDeps } from './deps.js';

export async function quarantined(
  { registry }: ControlDeps,
  release: { stream: string; digest: string },
  sites: string[],
): Promise<string[]> {
  const reports = await registry.reports(sites);
  const allowances = await registry.allowances(release.stream, release.digest);
  return sites.filter((site) => {
    const report = reports.get(site)?.report;
    return quarantineOf(report, release) !== undefined && !isAllowed(report, release, allowances);
  });
}
