/** Files that travel ahead of a rollout (design §6 `prefetch`): the signed wishes for them, and who has them. */
import type { OutlineSite } from '../../policies/model/outline.js';
import type { Prefetch, PrefetchCount, PrefetchInput } from '../../policies/model/prefetch.js';
import { signPrefetch } from '../../policies/signing/dsse.js';
import type { IssuedPrefetch } from '../contract.js';
import { readAddressees, UNKNOWN_ADDRESSEE } from './addressees.js';
import type { ControlDeps } from './deps.js';
import { readSigning } from './signing.js';

/** Nothing is recorded: nothing is owed for a wish, and a site that has none fetches when it converges. */
export async function issuePrefetches(
  deps: ControlDeps,
  input: PrefetchInput,
  sites: OutlineSite[],
): Promise<IssuedPrefetch[]> {
  const frozen = await deps.registry.frozenPlan(input.planDigest);
  if (!frozen) throw new TypeError(`the registry does not hold plan ${input.planDigest}`);
  const addressees = await readAddressees(
    deps,
    sites.map(({ id }) => id),
  );
  const { privatePems, keyset } = await readSigning(deps);
  const issuedAt = deps.now();
  return sites.flatMap(({ id, queue = `site-${id}` }) => {
    const { fields, hindered } = addressees.get(id) ?? UNKNOWN_ADDRESSEE;
    if (hindered) return [];
    const bandwidth = frozen.sites[id]?.link.bandwidth;
    const wish: Prefetch = {
      version: 1,
      rollout: input.label,
      site: id,
      stream: input.release.stream,
      generation: input.generation,
      digest: input.release.digest,
      releaseVersion: input.release.version,
      issuedAt,
      ...(bandwidth === undefined ? {} : { bytesPerSecond: bandwidth / 8 }),
      ...fields,
      ...(keyset && { keyset }),
    };
    const envelope = signPrefetch(wish, ...privatePems);
    return [{ site: id, queue, page: { commands: [], prefetches: [{ site: id, envelope }] } }];
  });
}

export async function countPrefetched({ registry }: ControlDeps, planDigest: string): Promise<PrefetchCount> {
  const frozen = await registry.frozenPlan(planDigest);
  if (!frozen) throw new TypeError(`the registry does not hold plan ${planDigest}`);
  const { stream, digest } = frozen.plan.release;
  const sites = Object.keys(frozen.sites);
  const reports = await registry.reports(sites);
  const found = sites.map((site) => {
    const streams = reports.get(site)?.report.streams ?? {};
    const report = Object.hasOwn(streams, stream) ? streams[stream] : undefined;
    if (report?.live?.digest === digest) return 'whole';
    if (report?.prefetched?.digest !== digest) return 'nothing';
    return report.prefetched.whole ? 'whole' : 'under way';
  });
  const count = (what: (typeof found)[number]) => found.filter((one) => one === what).length;
  return { sites: sites.length, whole: count('whole'), underWay: count('under way') };
}
