/** Coming to rest: the sweeper runs, the dark come back, and nothing is owed or open that need not be. */
import { catchUpId } from '../../policies/model/debt.js';
import { TASK_QUEUE } from '../../policies/model/rollout.js';
import type { Run } from './facts.js';
import { verb } from './operators.js';
import { Closing, listRuns } from './runs.js';
import type { Scene } from './scene.js';
import { VERSIONS, type SeedPlan } from './seed.js';

/** Generous: other work on the machine makes everything slow, and only what never comes is wrong. */
export const QUIET_WITHIN_MS = 90_000;

/** A person who was just there looks again after this. */
const LOOKS_EVERY_MS = 10_000;

let sweeps = 0;

/** The sweeper, as the schedule of a control worker starts it every minute; here whenever it is asked for. */
export async function sweepOnce(scene: Scene): Promise<void> {
  const workflowId = `sweep/${scene.plan.stream}-${(sweeps += 1)}`;
  const { client } = scene.lane;
  await client.workflow.start('sweep', { workflowId, taskQueue: TASK_QUEUE });
  const closing = new Closing(client, workflowId);
  await scene.until(QUIET_WITHIN_MS, async () => closing.isOver(), 50);
}

export async function bringBackAll(scene: Scene): Promise<void> {
  for (const { id, dark } of scene.plan.sites) if (dark) await scene.bringBack(id);
  await reportAgain(scene);
}

/**
 * As every agent does from time to time. The reconciler brings who was heard of since it last tried: on a busy machine a
 * site that was there all along may be owed as well, or be back for a batch that did not reach it in its seconds.
 */
async function reportAgain(scene: Scene): Promise<void> {
  for (const site of new Set((await scene.debts()).map((debt) => debt.site))) {
    await scene.lane.fleet.disconnect(site);
    scene.lane.fleet.connect(site);
  }
}

/** No revert is owed any more, what can be brought is brought, and nothing but reconciler and inboxes runs. */
export async function untilQuiet(scene: Scene): Promise<void> {
  const quiet = async () => {
    const owed = (await scene.debts()).filter((debt) => debt.verb === 'revert');
    return owed.length === 0 && (await unreached(scene)).length === 0 && (await openRuns(scene)).length === 0;
  };
  await sweepOnce(scene);
  if (await scene.until(15_000, quiet, 500)) return scene.say('quiet');
  await sweepOnce(scene);
  let lookAt = 0;
  const quietWithHelp = async () => {
    if (await quiet()) return true;
    if (Date.now() < lookAt) return false;
    lookAt = Date.now() + LOOKS_EVERY_MS;
    await answerBatch(scene);
    await reportAgain(scene);
    return false;
  };
  if (await scene.until(QUIET_WITHIN_MS, quietWithHelp, 500)) return scene.say('quiet');
  const owed = (await scene.debts()).map(
    (debt) => `${debt.verb} of ${debt.label} at ${debt.site}, owner ${debt.owner}`,
  );
  const [open, left] = [await openRuns(scene), await unreached(scene)];
  const told = `open: ${open.map((run) => run.workflowId).join(', ')}; owed: ${owed.join(', ')}`;
  scene.violate(
    'the centre comes to rest once every site is back',
    `${told}; not brought: ${left.map(({ words }) => words).join(', ')}`,
  );
}

/**
 * A batch of the reconciler may wait for a person as any rollout does; one that does not goes on by itself, however slow the
 * machine. What a person has aborted is not brought again until a person says so.
 */
async function answerBatch(scene: Scene): Promise<void> {
  const { plan, registry, lane, target } = scene;
  for (const { workflowId } of (await openRuns(scene)).filter((run) => run.type === 'rollout')) {
    const status = await registry.findRollout(workflowId);
    if (status?.wait === undefined && status?.state !== 'paused') continue;
    scene.say(`a person comes to ${workflowId}, which waits: abort`);
    await verb({ ...target, workflowId }, 'abort', 'signal').catch(() => undefined);
    const closing = new Closing(lane.client, workflowId);
    await scene.until(QUIET_WITHIN_MS, async () => closing.isOver(), 100);
    const retry = (await unreached(scene)).map(({ site }) => site);
    if (retry.length === 0) continue;
    await lane.client.workflow.signalWithStart('catchUp', {
      ...{ workflowId: catchUpId(plan.stream), taskQueue: TASK_QUEUE, args: [{ stream: plan.stream }] },
      ...{ signal: 'wake', signalArgs: [{ retry }] },
    });
  }
}

async function openRuns({ lane, plan }: Scene): Promise<Run[]> {
  const open = await listRuns(lane.client, plan.stream, ' AND ExecutionStatus = "Running"');
  return open.filter((run) => !['arrivals', 'inbox', 'catchUp'].includes(run.type));
}

/** Sites that should run another release than they do, where nothing in the seed stands against it. */
async function unreached({ plan, registry, sites }: Scene): Promise<{ site: string; words: string }[]> {
  if (plan.hindered === undefined && mayHinder(plan)) return [];
  const desired = await registry.desired(plan.stream, [...sites.keys()]);
  return [...desired].flatMap(([id, { release }]) => {
    const live = sites.get(id)?.books.live;
    if (live?.digest === release.digest || plan.hindered?.includes(id)) return [];
    return [{ site: id, words: `${id} of ${release.version}, runs ${live?.version}` }];
  });
}

/** Whoever fails, or a gate, may keep a batch of the reconciler from all of its sites. */
function mayHinder({ sites, gates }: SeedPlan): boolean {
  const fates = sites.flatMap(({ script }) => [script.fates[VERSIONS.main], script.fates[VERSIONS.next]]);
  return fates.some((fate) => fate !== 'confirm') || Object.values(gates).some((gate) => gate !== 'good');
}
