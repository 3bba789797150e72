/** Something is away or taken when a part starts, or what the depot gives is damaged: said clearly, waited for, never switched to. */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunningProcess } from '../../infra/dev/process.js';
import { blobPath } from '../../policies/model/depot.js';
import { socketPath } from '../../site/local/protocol.js';
import { agentFile, FAULT_STREAM, strategyFile } from './fault-files.js';
import { FaultStage, until } from './fault-stage.js';

let stage: FaultStage;
let depot: RunningProcess;

beforeAll(async () => {
  stage = await FaultStage.open({ sites: ['s1', 's2'] });
  depot = await stage.startDepot();
});
afterAll(async () => {
  await stage.close();
});

interface LogLine {
  msg: string;
  address?: string;
  cause?: string;
  retryMs?: number;
}
function logOf(part: RunningProcess): LogLine[] {
  const lines = readFileSync(part.logFile, 'utf8').split('\n');
  return lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as LogLine);
}

describe('Temporal down at the start', () => {
  it('[A13] worker and agents say so with the cause, try again ever later, and come up with it', async () => {
    await stage.temporal.stop();
    const parts = [await stage.startWorker(), await stage.startSite('s1'), await stage.startSite('s2')];
    for (const part of parts) {
      const refused = await until(() => {
        const lines = logOf(part).filter((line) => line.msg === 'Temporal cannot be reached');
        return lines.length >= 3 && lines;
      }, `${part.name} has tried three times`);
      for (const line of refused) expect(line).toMatchObject({ address: stage.temporal.address });
      expect(refused[0]?.cause).toMatch(/refused|connect|transport/i);
      // Doubled twice, each with half as much jitter either way: the third is later than the first in any case.
      expect(refused[2]?.retryMs).toBeGreaterThan(refused[0]?.retryMs ?? Infinity);
      expect(part.running()).toBe(true);
    }
    expect(await stage.statusOf('s1')).toMatchObject({ site: 's1', lastContact: 0 });

    await stage.temporal.restart();
    const label = await stage.begin({ version: '1.0.0' });
    expect(await stage.sealed(label)).toMatchObject({ outcome: 'promoted' });
  });
});

describe('what the depot gives is damaged', () => {
  const page = (version: string) => `healthy ${version}\n`;
  const blobOf = (version: string) => {
    const digest = createHash('sha256').update(page(version)).digest('hex');
    return join(stage.project, 'depot', blobPath(`sha256:${digest}`));
  };
  const expectUntouched = async () => {
    expect([stage.livePage('s1'), stage.loads('s1')]).toEqual([page('1.0.0'), ['1.0.0']]);
    expect((await stage.statusOf('s1')).streams['relay']?.live?.version).toBe('1.0.0');
  };

  it('[A31] a blob with another digest is rejected by the site, nothing is switched, nothing promoted', async () => {
    await stage.publish({ version: '1.1.0' });
    writeFileSync(blobOf('1.1.0'), page('6.6.6'));
    const sealed = await stage.sealed(await stage.begin({ version: '1.1.0' }, 'steps', 'as it lies there'));
    expect(sealed).toMatchObject({ outcome: 'reverted', reason: { code: 'BUDGET_FAILED' } });
    const settled = (await stage.registry.evidence(sealed.firstRunId)).filter((entry) => entry.kind === 'result');
    expect(settled[0]?.data).toMatchObject({
      result: { site: 's1', result: 'rejected', changed: false, reason: { code: 'DIGEST_MISMATCH' } },
    });
    await expectUntouched();
    const switched = (await stage.journalOf('s1')).filter((event) => event.kind === 'switching');
    expect(switched).toHaveLength(1);
  });

  it('[B8] [A22] one that is cut short is never used, and once it is mended the site goes on where it stopped', async () => {
    await stage.publish({ version: '1.2.0' });
    writeFileSync(blobOf('1.2.0'), page('1.2.0').slice(0, 5));
    const label = await stage.begin({ version: '1.2.0' }, 'steps', 'as it lies there');
    await until(
      () => stage.logsOf('site-s1').includes('cut short: 5 of 14 bytes'),
      'the site says that it was cut short',
    );
    await expectUntouched();
    writeFileSync(blobOf('1.2.0'), page('1.2.0'));
    expect(await stage.sealed(label)).toMatchObject({ outcome: 'promoted' });
    expect(stage.livePage('s1')).toBe(page('1.2.0'));
  });
});

describe('the depot away at the start of a rollout', () => {
  let workflowId: string;
  beforeAll(async () => {
    await stage.publish({ version: '1.3.0' });
    await depot.crash();
  });

  it('start says what is waited for', async () => {
    const started = await stage.foothold(['start', `${FAULT_STREAM}@1.3.0`, 'steps', '--json']);
    expect(started.code).toBe(0);
    const said = JSON.parse(started.stdout) as { workflowId: string };
    expect(said).toMatchObject({ kind: 'not begun', because: expect.stringContaining('DEPOT_UNREACHABLE') as string });
    workflowId = said.workflowId;
  });

  it('meanwhile a second agent on one data directory is refused, and the first goes on', async () => {
    const second = await stage.endOf(['agent', 'run', '--config', stage.agentConfig('s1')]);
    expect(second.code).toBe(3);
    expect(second.said).toMatch(/^error AGENT_RUNNING: /m);
    expect((await stage.statusOf('s1')).site).toBe('s1');
  });

  it('a second control worker on one registry is refused, and told who holds it', async () => {
    const second = await stage.endOf(['worker', 'run']);
    expect(second.code).toBe(3);
    expect(second.said).toMatch(/^error REGISTRY_LOCKED: .*control worker, process \d+/m);
  });

  it('[A13] an agent whose metrics address is taken says so and goes on: its supervisor must not restart it', async () => {
    // By what is there anyway: a depot that is up for a moment would let the rollout of these tests begin.
    const taken = stage.temporal.address;
    const site = 's9';
    const directory = join(stage.root, site);
    const file = agentFile({ site, directory, control: join(stage.project, 'control.pub'), depot: stage.depotUrl });
    stage.write(join('..', site, 'agent.yaml'), `${file}metrics: ${taken}\n`);
    const agent = await stage.startSite(site);
    await until(() => stage.logsOf(`site-${site}`).includes(taken), 'the log line about the address');
    expect(stage.logsOf(`site-${site}`)).toContain('the agent goes on without it');
    expect((await stage.statusOf(site)).site).toBe(site);
    await agent.stop();
  });

  it('[A13] an agent whose socket cannot be bound says so, goes on, and binds it once it can', async () => {
    const site = 's8';
    const directory = join(stage.root, site);
    const file = agentFile({ site, directory, control: join(stage.project, 'control.pub'), depot: stage.depotUrl });
    stage.write(join('..', site, 'agent.yaml'), file);
    const inTheWay = socketPath(join(directory, 'data'));
    mkdirSync(inTheWay, { recursive: true });
    const starting = stage.startSite(site);
    await until(
      () => stage.logsOf(`site-${site}`).includes('the agent goes on without it'),
      'the log line about the socket',
    );
    rmSync(inTheWay, { recursive: true });
    // It answers: by the same process, for one that had ended would be a failure to start.
    await (await starting).stop();
  });

  it('[A31] in the end the rollout is refused by name, no site was commanded, and with the depot back it can begin', async () => {
    // Six attempts with half a minute between the first and the last, of which the tests before this one take a part or none.
    const result = await stage.temporalCli(['workflow', 'result', '--workflow-id', workflowId], 60_000);
    expect(result.code).not.toBe(0);
    expect(result.stdout + result.stderr).toContain('RolloutRefused: DEPOT_UNREACHABLE');
    expect(stage.livePage('s1')).toBe('healthy 1.2.0\n');
    depot = await stage.startDepot();
    expect(await stage.sealed(await stage.begin({ version: '1.3.0' }))).toMatchObject({ outcome: 'promoted' });
  });
});

describe('started from Temporal’s own command line', () => {
  const release = `${FAULT_STREAM}@1.3.0`;
  it.each<[string, unknown, RegExp]>([
    [
      'a release that is not there',
      { release: `${FAULT_STREAM}@9.9.9`, strategy: 'steps' },
      /RELEASE_NOT_FOUND .*1\.3\.0/,
    ],
    ['a stream that is not there', { release: 'relai@1.3.0', strategy: 'steps' }, /RELEASE_NOT_FOUND .*relay/],
    ['a strategy that is not there', { release, strategy: 'stepps' }, /STRATEGY_NOT_FOUND .*steps/],
    ['a site that is not there', { release, strategy: 'steps', only: { id: ['s7'] } }, /SITE_NOT_FOUND .*s7/],
    ['a selector that matches nothing', { release, strategy: 'steps', only: { region: ['west'] } }, /SELECTOR_EMPTY /],
    [
      'a selector with a key that is not known',
      { release, strategy: 'steps', only: { regio: ['west'] } },
      /BAD_INPUT .*region\?/,
    ],
    ['a selector of another form', { release, strategy: 'steps', only: 'west' }, /BAD_INPUT /],
    ['a strategy that leaves a site in no stage', { release, strategy: 'partial' }, /SITE_IN_NO_STAGE .*s2/],
    ['a text', release, /BAD_INPUT .*"release"/],
    ['nothing', undefined, /BAD_INPUT /],
  ])('%s is refused by name, and the stream is free again', async (_, input, says) => {
    stage.write('strategies/partial.yaml', strategyFile('partial', 'stages: [{ name: a, select: { risk: low } }]'));
    const given = input === undefined ? [] : ['--input', JSON.stringify(input)];
    const said = await stage.temporalCli([
      'workflow',
      'execute',
      '--type',
      'rollout',
      '--task-queue',
      'foothold',
      ...given,
    ]);
    expect(said.code).toBe(1);
    expect(said.stdout + said.stderr).toMatch(/RolloutRefused: /);
    expect((said.stdout + said.stderr).replaceAll(/\s+/g, ' ')).toMatch(says);
  });

  it('none of these left anything: not at the sites, and not on the way of the next rollout', async () => {
    expect([stage.livePage('s1'), stage.loads('s2')]).toEqual(['healthy 1.3.0\n', ['1.0.0', '1.2.0', '1.3.0']]);
    expect(await stage.registry.rollouts({ running: true })).toEqual([]);
    expect(await stage.sealed(await stage.begin({ version: '1.4.0' }))).toMatchObject({ outcome: 'promoted' });
  });
});
