/** What a run that was reset, or that continues as new, is told by a real registry. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { ControlDeps } from '../../../activities/control/deps.js';
import { readOutline } from '../../../activities/control/freeze-plan.js';
import { knownCommands } from '../../../activities/control/known-commands.js';
import { recordRefused } from '../../../activities/control/record-progress.js';
import { openRegistry } from '../../../records/registry/open.js';
import type { Registry } from '../../../records/registry/registry.js';
import { Rollout } from '../../records/registry/centre.js';

const RUN = 'first-run';
const REQUEST = { release: 'edge-proxy@2.4.0', strategy: 'careful' };
const REASON = { code: 'STREAM_LOCKED' as const, detail: 'held by another' };
const identity = { workflowId: `w-${RUN}`, firstRunId: RUN, runId: 'reset-run', continuation: 0 };

let registry: Registry;
let deps: ControlDeps;
beforeEach(async () => {
  registry = await openRegistry('sqlite::memory:');
  deps = { registry, now: () => 9_000 } as unknown as ControlDeps;
});
afterEach(() => registry.close());

it('a refusal never takes the place of the status of a rollout that has a plan: the plan is answered instead', async () => {
  const rollout = await Rollout.begin(registry, RUN, '2.4.0', ['osl-01']);
  const { label, generation, planDigest } = rollout.frozen;
  expect(await recordRefused(deps, REQUEST, REASON, identity)).toEqual({ frozen: { label, generation, planDigest } });
  expect(await registry.findRollout(RUN)).toEqual(rollout.status());
  expect((await registry.evidence(RUN)).map(({ kind }) => kind)).not.toContain('sealed');
});

it('a plan that the registry does not hold is asked for again, never taken for an empty one', async () => {
  const frozen = { planDigest: 'sha256:0', label: 'edge-proxy-2.4.0-1', generation: 1 };
  await expect(readOutline(deps, frozen)).rejects.toThrow('expected plan sha256:0 of edge-proxy-2.4.0-1');
});

it('what is known of 2,500 sites comes in pages, every site once', async () => {
  const sites = Array.from({ length: 2_500 }, (_, index) => `s-${String(index).padStart(4, '0')}`);
  const rollout = await Rollout.begin(registry, RUN, '2.4.0', sites);
  const rows = sites.map((site) => ({
    site,
    stage: 'all',
    wave: 0,
    verb: 'converge' as const,
    commandId: rollout.id(site),
    carrier: 'c',
    switchBy: 9_000,
  }));
  await registry.recordCommanded(RUN, rows, 2_000);
  await rollout.settle(rollout.answer('s-1700', 'confirmed'));
  const pages = [];
  for (let after: string | undefined = ''; after !== undefined;) {
    const page = await knownCommands(deps, RUN, after);
    pages.push(page);
    after = page.next;
  }
  expect(pages.map(({ commanded }) => commanded.length)).toEqual([1_000, 1_000, 500]);
  expect(pages.flatMap(({ commanded }) => commanded.map(({ site }) => site)).sort()).toEqual(sites);
  const told = pages.flatMap(({ outcomes }) => outcomes).filter(({ outcome }) => outcome === 'confirmed');
  expect(told.map(({ site }) => site)).toEqual(['s-1700']);
});

it('an undo that was begun is told as the evidence has it, and the stages of which sites were sent a revert', async () => {
  const rollout = await Rollout.begin(registry, RUN, '2.4.0', ['osl-01', 'osl-02']);
  for (const site of ['osl-01', 'osl-02']) await rollout.command(site);
  expect(await knownCommands(deps, RUN, '')).toMatchObject({ undos: [], reverting: [] });
  await rollout.command('osl-01', 'revert');
  expect(await knownCommands(deps, RUN, '')).toMatchObject({ undos: [], reverting: ['all'] });
  const undo = { stages: ['all'], keepConfirmed: true, block: false, reason: { code: 'ABORTED', detail: 'by ann' } };
  const key = { firstRunId: RUN, runId: RUN, activityId: 'a-7' };
  await registry.appendEvidence(key, [{ kind: 'undo', data: undo }], 5_000);
  expect(await knownCommands(deps, RUN, '')).toMatchObject({ undos: [undo], reverting: ['all'] });
});
