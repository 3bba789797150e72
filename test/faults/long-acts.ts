/** What takes more than a message: a rollout that takes over, a retry until it is taken, a new box, a new control key. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { issueToken } from '../../cli/commands/fleet-enrol.js';
import { rotateControl } from '../../cli/commands/keys.js';
import { STEPS } from '../../cli/rotate-control.js';
import type { SignedToken } from '../../policies/model/enrolment.js';
import type { VerbAnswer, VerbPayload } from '../../policies/model/rollout.js';
import { verb, type Acted } from './operators.js';
import { Closing, isRunning } from './runs.js';
import type { Scene } from './scene.js';
import { VERSIONS } from './seed.js';
import type { Act, LongAct } from './seed-faults.js';
import { SimulatedSite } from './site.js';

const WORDS = { by: 'operator', reason: 'the seed says so' };
const TAKEN_WITHIN_MS = 60_000;

export function isLong(what: Act): what is LongAct {
  return ['supersede', 'retry', 'replace', 'rotate', 'promote'].includes(what.kind);
}

/** Under way at once; `took` says later whether it came to anything. */
export async function actAtLength(scene: Scene, what: LongAct): Promise<Acted> {
  switch (what.kind) {
    case 'promote': {
      const words = `promote as ${what.as}${what.override ? ' with override' : ''}`;
      await promote(scene, what).catch(() => undefined);
      return { words, took: promoteWaiting(scene, what) };
    }
    case 'supersede':
      return { words: 'supersede', took: supersede(scene) };
    case 'retry':
      return { words: `retry as ${what.as}`, took: retry(scene, what) };
    case 'replace': {
      const { id } = siteAt(scene, what.site);
      return { words: `replace ${id}`, took: replace(scene, id, what.afterMs) };
    }
    case 'rotate':
      return { words: 'rotate the control key', took: rotate(scene, what.everyMs) };
  }
}

export const nextWorkflowId = ({ plan }: Scene): string => `${plan.stream}-next`;

function siteAt({ plan }: Scene, share: number) {
  const site = plan.sites[Math.floor(share * plan.sites.length)];
  if (!site) throw new Error('a seed without sites');
  return site;
}

const PROMOTES = 'the seed says promote';

async function promote({ target }: Scene, { as, override = false }: Extract<LongAct, { kind: 'promote' }>) {
  await verb(target, 'promote', as, { override, reason: PROMOTES });
}

/** Until it is obeyed, or the rollout is over. */
async function promoteWaiting(scene: Scene, what: Extract<LongAct, { kind: 'promote' }>): Promise<boolean> {
  const { registry, target } = scene;
  for (const end = Date.now() + TAKEN_WITHIN_MS; Date.now() < end; await sleep(250)) {
    if (await scene.hasObeyed(target.workflowId, PROMOTES)) return true;
    const status = await registry.findRollout(target.workflowId);
    if (status?.state === 'sealed') return scene.hasObeyed(target.workflowId, PROMOTES);
    if (status?.wait) await promote(scene, what).catch(() => undefined);
  }
  return false;
}

/** As `start --supersede` does. Whether the one that ran gave way is what its evidence says. */
async function supersede(scene: Scene): Promise<boolean> {
  const { workflowId } = scene.target;
  const next = nextWorkflowId(scene);
  await scene.start(next, VERSIONS.next, { ...WORDS, supersede: workflowId });
  const closing = new Closing(scene.lane.client, next);
  const over = async () => (await obeyed(scene, 'supersede')) || closing.isOver();
  await scene.until(TAKEN_WITHIN_MS, over, 500);
  return obeyed(scene, 'supersede');
}

async function obeyed({ registry, target }: Scene, verb: string): Promise<boolean> {
  const status = await registry.findRollout(target.workflowId);
  const evidence = status ? await registry.evidence(status.firstRunId) : [];
  return evidence.some(({ kind, data }) => kind === 'verb' && data['verb'] === verb);
}

/** Asked for whenever the rollout waits, until it is taken or the rollout is over. */
async function retry(scene: Scene, { as, one }: Extract<LongAct, { kind: 'retry' }>): Promise<boolean> {
  const { registry, target, lane } = scene;
  for (const end = Date.now() + TAKEN_WITHIN_MS; Date.now() < end; await sleep(250)) {
    const status = await registry.findRollout(target.workflowId);
    if (status?.state === 'sealed') return false;
    if (!status?.wait) {
      if (status || (await isRunning(lane.client, target.workflowId))) continue;
      return false;
    }
    const failed = (await registry.problemSites(status.firstRunId, 100)).map(({ site }) => site);
    const { digest } = status.release;
    for (const site of failed) {
      await registry.allow(target.stream, digest, site, WORDS.by, WORDS.reason, Date.now());
    }
    const payload = { ...WORDS, ...(one && failed[0] !== undefined ? { sites: [failed[0]] } : {}) };
    if (await askForRetry(scene, as, payload)) return true;
  }
  return false;
}

async function askForRetry(scene: Scene, as: 'update' | 'signal', payload: VerbPayload): Promise<boolean> {
  const { client, workflowId } = scene.target;
  const handle = client.workflow.getHandle(workflowId);
  try {
    if (as === 'signal') {
      await handle.signal('retry', payload);
      return await scene.until(1_500, () => obeyed(scene, 'retry'));
    }
    return (await handle.executeUpdate<VerbAnswer, [VerbPayload]>('retry', { args: [payload] })).accepted;
  } catch {
    return false;
  }
}

/** The next epoch by `fleet replace`; the old agent goes on until the new box, whose store is empty, is in its place. */
async function replace(scene: Scene, id: string, afterMs: number): Promise<boolean> {
  const { cli, plan, lane, stand, sites } = scene;
  const script = plan.sites.find((site) => site.id === id)?.script;
  const old = sites.get(id);
  if (!script || !old) return false;
  const answer = await issueToken(cli, 'replace', id, WORDS);
  const { token, epoch } = answer.document as { token: SignedToken; epoch: number };
  scene.replacements.push({ site: id, epoch, at: Date.now() });
  scene.say(`${id} is to be of epoch ${epoch}`);
  await sleep(afterMs);
  await lane.fleet.swap(id, () => {
    const { log, stream } = old.books;
    const digest = `sha256:${String(epoch).repeat(64).slice(0, 64)}`;
    const found = { version: `0.0.0-adopted+${digest.slice(7, 19)}`, digest };
    log.push({ kind: 'replaced', at: Date.now(), epoch, live: digest });
    const enrolled = { token, instance: randomUUID() };
    const identity = { site: id, stream, confirmed: [], found, token: enrolled, log };
    const site = new SimulatedSite(identity, script, stand.keys.publicPem);
    sites.set(id, site);
    return site;
  });
  if (!scene.isDark(id)) lane.fleet.connect(id);
  scene.say(`a new box is in the place of ${id}`);
  return true;
}

/** Each step by `keys rotate-control`; who has not learned of the one before by then is left behind, and learns later. */
async function rotate(scene: Scene, everyMs: number): Promise<boolean> {
  const { cli, registry } = scene;
  for (const step of STEPS) {
    if (step !== 'begin') await sleep(everyMs);
    const asked = await rotateControl(cli, step, { ...WORDS, dryRun: true });
    const { missing } = asked.document as { missing: string[] };
    const oldKeyId = (await registry.controlKeys()).rotation?.oldKeyId;
    await rotateControl(cli, step, { ...WORDS, leaveBehind: missing });
    scene.say(`rotate-control ${step}${missing.length > 0 ? ` without ${missing.join(', ')}` : ''}`);
    if (step === 'finish' && oldKeyId !== undefined) scene.rotations.push({ oldKeyId, at: Date.now() });
  }
  return true;
}
