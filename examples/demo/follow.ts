/** Follows a rollout to its seal and tells what happens, from the registry that the control worker writes. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { RolloutStatus, SiteOutcome, StageStatus } from '../../policies/model/rollout.js';
import type { Reason } from '../../policies/model/verdict.js';
import type { World } from './world.js';

const EVERY_MS = 200;
/** An undo that takes longer than this is worth a word. */
const LATE_MS = 3_000;

/** Epoch ms by this machine's clock: when the rollout began to undo, and when it was sealed. */
export interface Followed {
  status: RolloutStatus;
  undoingSince: number | undefined;
  endedAt: number;
}

/** Returns once the rollout is sealed; throws if it is not within `patience` ms. */
export async function followRollout(world: World, workflowId: string, patience = 170_000): Promise<Followed> {
  const deadline = performance.now() + patience;
  const teller = new Teller(world);
  for (;;) {
    const status = await world.registry.findRollout(workflowId);
    if (status) await teller.tell(status);
    if (status?.state === 'sealed') return { status, undoingSince: teller.undoingSince, endedAt: Date.now() };
    if (performance.now() > deadline) throw new Error(lateness(workflowId, patience, status));
    await sleep(EVERY_MS);
  }
}

function lateness(workflowId: string, patience: number, status: RolloutStatus | undefined): string {
  const now = status
    ? `${status.state}${status.wait ? `, waits for ${status.wait.reason.code}` : ''}`
    : 'unknown to the registry';
  return `expected ${status?.label ?? workflowId} to end within ${patience / 1_000} s, it is ${now}`;
}

class Teller {
  undoingSince: number | undefined;
  private lateTold = false;
  private planTold = false;
  private waitTold: string | undefined;
  private readonly stages = new Map<string, string>();
  private readonly sites = new Map<string, string>();

  constructor(private readonly world: World) {}

  async tell(status: RolloutStatus): Promise<void> {
    await this.tellPlan(status);
    for (const stage of status.stages) await this.tellStage(status, stage);
    await this.tellSites(status);
    this.tellWait(status);
    if (status.state === 'reverting') this.tellUndo(status);
    if (status.state === 'sealed') this.tellEnd(status);
  }

  private async tellPlan({ label, planDigest, stages }: RolloutStatus): Promise<void> {
    if (this.planTold || stages.length === 0) return;
    this.planTold = true;
    const sizes = stages.map(({ name, sites }) => `${name} ${sites}`).join(' → ');
    this.world.transcript.line(`${label}: ${sizes}   plan ${planDigest.slice(0, 19)}`);
  }

  private async tellStage(status: RolloutStatus, stage: StageStatus): Promise<void> {
    const now = `${stage.state} ${stage.wave}`;
    const before = this.stages.get(stage.name) ?? 'untouched';
    if (now === before || stage.state === 'untouched') return;
    this.stages.set(stage.name, now);
    const wave = stage.waves > 1 ? ` wave ${stage.wave}/${stage.waves}` : '';
    const name = `${stage.name}${wave}`.padEnd(16);
    switch (stage.state) {
      case 'running':
        return this.say(`${name} switching ${(await this.sitesOf(status, stage.name)).join(' ')}`);
      case 'gating':
        return this.say(`${name} ${stage.confirmed} confirmed, the gate takes its samples`);
      case 'promoted':
        return this.say(`${name} promoted   ${await this.gateOf(status, stage)}`, 'good');
      case 'reverted':
        return this.say(`${name} is undone  ${await this.gateOf(status, stage)}`, 'bad');
      case 'waiting':
      case 'stopped':
        return this.say(`${name} ${stage.state}  ${await this.gateOf(status, stage)}`, 'bad');
    }
  }

  private async tellSites(status: RolloutStatus): Promise<void> {
    const rows = await this.world.registry.siteRows(status.firstRunId);
    for (const row of rows.sort((a, b) => a.site.localeCompare(b.site))) {
      const now = `${row.outcome} ${row.reason?.code ?? ''}`;
      if (this.sites.get(row.site) === now || row.outcome === 'confirmed' || row.outcome === 'untouched') continue;
      this.sites.set(row.site, now);
      this.say(`${row.site.padEnd(16)} ${outcomeText(row)}`, row.outcome === 'owed' ? 'plain' : 'bad');
    }
  }

  private tellWait({ wait }: RolloutStatus): void {
    if (wait?.reason.code === this.waitTold) return;
    this.waitTold = wait?.reason.code;
    if (wait) this.say(`waits for ${wait.owner}: ${reasonText(wait.reason)}; then: ${wait.then}`);
  }

  private tellUndo({ owedReverts }: RolloutStatus): void {
    if (this.undoingSince === undefined) {
      this.undoingSince = Date.now();
      this.say('undoing: a revert to every site that was commanded', 'bad');
    }
    const late = Date.now() - this.undoingSince > LATE_MS;
    if (!late || this.lateTold || owedReverts.length === 0) return;
    this.lateTold = true;
    this.say(
      `${owedReverts.join(' ')} does not answer: the rollout is patient until it is sealed, the undo stays owed`,
    );
  }

  private tellEnd({ label, outcome, reason }: RolloutStatus): void {
    const tone = outcome === 'promoted' ? 'good' : 'bad';
    this.say(`${label} is sealed: ${outcome ?? ''}${reason ? `, ${reasonText(reason)}` : ''}`, tone);
  }

  private async sitesOf({ planDigest }: RolloutStatus, name: string): Promise<string[]> {
    const frozen = await this.world.registry.frozenPlan(planDigest);
    const stage = frozen?.plan.stages.find((one) => one.name === name);
    return stage?.waves.flatMap(({ sites }) => sites.map(({ id }) => id)) ?? [];
  }

  private async gateOf({ firstRunId }: RolloutStatus, { name, gate }: StageStatus): Promise<string> {
    if (!gate) return '';
    const samples = await this.world.registry.samples(firstRunId, name);
    const values = samples.map(({ values }) => values.map(({ value }) => value.toFixed(3)).join('/') || '-');
    const metric = gate.metrics[0];
    return `gate: ${gate.verdict}, ${metric?.metric ?? ''} ${values.join(' ')} (${gate.reason.code})`;
  }

  private say(text: string, tone: 'plain' | 'good' | 'bad' = 'plain'): void {
    this.world.transcript.line(text.trimEnd(), tone);
  }
}

function outcomeText({ outcome, reason, at, state }: SiteOutcome): string {
  const when = at === undefined ? '' : ` at ${new Date(at).toISOString().slice(11, 23)}`;
  const seen = state === undefined ? '' : `, last seen ${state ?? 'never'}`;
  return `${outcome}${when}${seen}${reason ? `: ${reasonText(reason)}` : ''}`;
}

function reasonText({ code, detail }: Reason): string {
  return detail === '' ? code : `${code} (${detail})`;
}
