/** Which sites of a page are deferred because a person holds them, and until when the rollout waits: a real registry. */
import { describe, expect, it } from 'vitest';
import type { ControlDeps } from '../../../activities/control/deps.js';
import { deferredSites } from '../../../activities/control/defer.js';
import type { ShardInput } from '../../../policies/model/outline.js';
import { NOW, recordedProject, reportOf } from '../../cli/recorded.js';

const project = recordedProject(['2.3.0', '2.4.0']);
const PATIENCE = 60_000;
const sites = ['osl-01', 'osl-02', 'osl-03'].map((id) => ({ id, link: 'fibre' }));
const input = {
  release: { stream: 'edge-proxy', version: '2.4.0', digest: 'x' },
  settleWithin: 'link',
  links: { fibre: { settleWithin: PATIENCE } },
} as unknown as ShardInput;

describe('a held site', () => {
  it('is deferred with who, why and until when; a hold beyond the patience for the site is not waited for', async () => {
    const live = { version: '2.3.0', digest: await project.digest('2.3.0') };
    await project.withRegistry(async (registry) => {
      const deps = { registry, now: () => NOW } as unknown as ControlDeps;
      expect(await deferredSites(deps, input, sites, {})).toEqual([]);
      const hold = { by: 'kari', reason: 'mast', at: NOW };
      await registry.recordReport(reportOf('osl-01', live, { holds: [{ ...hold, endsIn: 30_000 }] }), NOW);
      await registry.putHold({ ...hold, site: 'osl-02', until: NOW + PATIENCE + 1, at: NOW });
      const end = (at: number) => new Date(at).toISOString();
      expect(await deferredSites(deps, input, sites, {})).toEqual([
        {
          site: 'osl-01',
          deferred: { code: 'HELD', detail: `at the site by kari: mast, until ${end(NOW + 30_000)}` },
          until: NOW + 30_000,
        },
        {
          site: 'osl-02',
          deferred: { code: 'HELD', detail: `hold-1 at the centre by kari: mast, until ${end(NOW + PATIENCE + 1)}` },
        },
      ]);
      const later = { registry, now: () => NOW + 30_000 } as unknown as ControlDeps;
      expect((await deferredSites(later, input, sites, {})).map(({ site }) => site)).toEqual(['osl-02']);
    });
  });
});
