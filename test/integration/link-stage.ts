/** A fault stage whose sites reach the centre over links that can fail: a relay to Temporal and one to the depot each. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startRelay, type LinkFault, type Relay } from '../../infra/dev/relay.js';
import type { RunningProcess } from '../../infra/dev/process.js';
import type { LinkState } from '../../policies/model/link.js';
import type { Result } from '../../policies/model/command.js';
import type { AgentStatus } from '../../site/local/client.js';
import { agentFile, FAULT_STREAM } from './fault-files.js';
import { until, type FaultStage } from './fault-stage.js';

/** All sites at once, and no failure of a site is held against the others: each is looked at by itself. */
export const TOGETHER = `apiVersion: foothold/v1
kind: Strategy
name: together
owner: on-call
defaults: { gate: none, because: the faults are not in the metrics, soak: 1s, budget: { failed: 100%, owed: 100% } }
stages: [{ name: all, concurrency: 20 }]
onInconclusive: { within: 10m, then: stay }
`;

/** Over a fibre: until the next echo is due, and as long as it is waited for (policies/model/link.ts); and what a busy machine adds. */
export const NOTICED_WITHIN = 30_000;

/** Less than a link waits for an answer: an agent that waited with it would be seen on a busy machine too. */
export const NOT_WITH_THE_LINK = 9_000;

/** The agent file of a site with a link of its own kind, which is the quickest to notice. */
export function writeAgentFile(stage: FaultStage, site: string, depot: string): void {
  const control = join(stage.project, 'control.pub');
  const text = agentFile({ site, directory: join(stage.root, site), control, depot });
  writeFileSync(stage.agentConfig(site), `${text}link: fibre\n`);
}

export class LinkedSite {
  private constructor(
    readonly name: string,
    private readonly stage: FaultStage,
    readonly temporal: Relay,
    readonly depot: Relay,
    public process: RunningProcess,
  ) {}

  static async start(stage: FaultStage, name: string): Promise<LinkedSite> {
    const temporal = await startRelay({ target: stage.temporal.address });
    const depot = await startRelay({ target: new URL(stage.depotUrl).host });
    writeAgentFile(stage, name, `http://${depot.address}/`);
    const process = await stage.startSite(name, '--address', temporal.address);
    return new LinkedSite(name, stage, temporal, depot, process);
  }

  fail(fault: LinkFault): void {
    for (const relay of [this.temporal, this.depot]) relay.fail(fault);
  }

  heal(): void {
    for (const relay of [this.temporal, this.depot]) relay.restore();
  }

  /** kill -9, and started again over the same link. */
  async restart(): Promise<void> {
    await this.process.crash();
    this.process = await this.stage.startSite(this.name, '--address', this.temporal.address);
  }

  async stop(): Promise<void> {
    await Promise.all([this.temporal.stop(), this.depot.stop()]);
  }

  linkIs(state: LinkState['state']): Promise<LinkState> {
    return linkIs(this.stage, this.name, state);
  }
}

/** All of a stage: each over a link of its own, put into `sites` as it is there, and heard by the centre. */
export async function startLinked(stage: FaultStage, names: string[], sites: Map<string, LinkedSite>): Promise<void> {
  stage.write('strategies/together.yaml', TOGETHER);
  await stage.startDepot();
  await stage.startWorker();
  await Promise.all(names.map(async (name) => sites.set(name, await LinkedSite.start(stage, name))));
  await until(async () => (await stage.registry.reports(names)).size === names.length, 'every site has reported');
}

/** By the agent's own word. */
export function linkIs(stage: FaultStage, site: string, state: LinkState['state']): Promise<LinkState> {
  const standing = async () => {
    const { link } = await stage.statusOf(site);
    return link?.state === state && link;
  };
  return until(standing, `the link of ${site} is ${state}`);
}

/** The stream of the stage at a site comes to a state with this version live. */
export function comesTo(stage: FaultStage, site: string, state: string, version: string, within = 60_000) {
  return until(
    async () => {
      const stream = (await stage.statusOf(site)).streams[FAULT_STREAM];
      return stream?.state === state && stream.live?.version === version;
    },
    `${site} is ${state} with ${version} live`,
    within,
  );
}

/** Asks every site for its status about once a second, as a person there might, and keeps how long the slowest answer took. */
export function askMeanwhile(stage: FaultStage, sites: string[]): { end: () => Promise<Map<string, Asked>> } {
  let over = false;
  const asked = new Map<string, Asked>(sites.map((site) => [site, { answers: 0, slowest: 0, last: undefined }]));
  const ask = async (site: string) => {
    while (!over) {
      const from = performance.now();
      const last = await stage.statusOf(site);
      const { answers, slowest } = asked.get(site) ?? { answers: 0, slowest: 0 };
      asked.set(site, { answers: answers + 1, slowest: Math.max(slowest, performance.now() - from), last });
      await sleep(1_000);
    }
  };
  const asking = Promise.all(sites.map(ask));
  // Told by `end`.
  asking.catch(() => undefined);
  return {
    end: async () => {
      over = true;
      await asking;
      return asked;
    },
  };
}
export interface Asked {
  answers: number;
  slowest: number;
  last: AgentStatus | undefined;
}

export interface Account {
  site: string;
  /** As the journal of the site has it, for the site's converge of this rollout. */
  journal: { accepted: number; switching: number; confirmed: number; reverted: number };
  /** ms from the switch to the end, by the site. */
  took: number;
  /** How often it was counted at the centre. */
  counted: number;
  outcome: string | undefined;
  cause: string | undefined;
}

/** What a site did with its converge of the rollout, by its own journal, and what the centre made of it. */
export async function accountOf(stage: FaultStage, label: string, site: string): Promise<Account> {
  const { firstRunId = '' } = (await stage.rollout(label)) ?? {};
  const commandId = `${firstRunId}/${site}/${FAULT_STREAM}/converge/1`;
  const own = (await stage.journalOf(site)).filter((event) => event.commandId === commandId);
  const count = (kind: string) => own.filter((event) => event.kind === kind).length;
  const at = (...kinds: string[]) => own.find((event) => kinds.includes(event.kind))?.at ?? NaN;
  const told = (await stage.registry.evidence(firstRunId)).filter(
    ({ kind, data }) =>
      data['commandId'] === commandId && (kind === 'site-event' || (kind === 'result' && data['counted'] === true)),
  );
  const row = (await stage.registry.siteRows(firstRunId)).filter((one) => one.site === site);
  if (row.length > 1) throw new Error(`expected one row for ${site}, got ${row.length}`);
  return {
    site,
    journal: {
      accepted: count('accepted'),
      switching: count('switching'),
      confirmed: count('confirmed'),
      reverted: count('reverted'),
    },
    took: at('confirmed', 'reverted') - at('switching'),
    counted: told.length,
    outcome: row[0]?.outcome,
    cause: (row[0] as { cause?: Result['cause'] } | undefined)?.cause,
  };
}
