/** A gate that cannot be judged, and verbs of every form meanwhile: it waits for a person, and only a person ends it. */
import { join } from 'node:path';
import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../infra/dev/ports.js';
import type { RolloutStatus } from '../../policies/model/rollout.js';
import { blindStrategy, FAULT_STREAM } from './fault-files.js';
import { FaultStage, until } from './fault-stage.js';

let stage: FaultStage;

beforeAll(async () => {
  // Nobody ever listens there: Prometheus is down for the whole life of every gate.
  stage = await FaultStage.open({ sites: ['s1', 's2'], prometheus: `http://127.0.0.1:${await freePort()}` });
  stage.write('strategies/blind.yaml', blindStrategy('blind', '10m'));
  stage.write('strategies/hasty.yaml', blindStrategy('hasty', '2s'));
  await Promise.all([stage.startDepot(), stage.startWorker(), stage.startSite('s1'), stage.startSite('s2')]);
});
afterAll(async () => {
  await stage.close();
});

function waiting(label: string): Promise<RolloutStatus> {
  return until(async () => {
    const status = await stage.rollout(label);
    return status?.wait && status;
  }, `${label} waits`);
}

// One rollout, in the order of the tests: each begins where the one before left it waiting.
let status: RolloutStatus;
const cli = (verb: 'signal' | 'update', ...argv: string[]) => {
  const command = verb === 'signal' ? ['signal'] : ['update', 'execute'];
  return stage.temporalCli(['workflow', ...command, '--workflow-id', status.workflowId, ...argv]);
};
const ignored = async () => {
  const evidence = await stage.registry.evidence(status.firstRunId);
  return evidence.filter((entry) => entry.kind === 'signal-ignored');
};

describe('Prometheus down for the whole gate', () => {
  it('[B16] [A31] the rollout waits, with the reason, its owner and a deadline; nothing is promoted', async () => {
    status = await waiting(await stage.begin({ version: '1.0.0' }, 'blind'));
    expect(status.wait).toMatchObject({ reason: { code: 'GATE_QUERY_FAILED' }, owner: 'on-call', then: 'stay' });
    expect(status.stages).toMatchObject([
      { name: 'canary', confirmed: 1, gate: { verdict: 'inconclusive' } },
      { name: 'rest', state: 'untouched', confirmed: 0 },
    ]);
    expect(stage.loads('s2')).toEqual([]);
    const said = await stage.foothold(['status', FAULT_STREAM]);
    expect(said.stdout).toMatch(/^NEEDS YOU by .* stage canary waits: GATE_QUERY_FAILED/);
  });
});

describe('a verb of any form, while it waits', () => {
  it('signals of any form are kept as evidence and obeyed by none', async () => {
    const huge = join(stage.root, 'huge.json');
    writeFileSync(huge, JSON.stringify({ by: 'x', reason: 'y'.repeat(1_500_000) }));
    const inputs = [
      [],
      ['--input', '"abort"'],
      ['--input', '42'],
      ['--input', 'null'],
      ['--input', '[]'],
      ['--input', '{"by":"me"}'],
      ['--input', '{"by":{"reason":1},"reason":[]}'],
      ['--input-file', huge],
      ['--input', 'not JSON at all', '--input-meta', 'encoding=binary/plain'],
    ];
    for (const input of inputs) {
      const sent = await cli('signal', '--name', 'abort', ...input);
      expect([input, sent.code, sent.stderr]).toEqual([input, 0, '']);
    }
    await until(async () => (await ignored()).length >= inputs.length, 'all of them are in the evidence');
    expect((await ignored()).map(({ data }) => [data['verb'], data['code']])).toEqual(
      inputs.map(() => ['abort', 'BAD_PAYLOAD']),
    );
    expect(JSON.stringify(await ignored()).length).toBeLessThan(20_000);
    expect((await stage.rollout(status.label))?.state).toBe('waiting');
  });

  it('bytes that nobody can decode jam nothing: they are evidence too, and the rollout still hears', async () => {
    const before = (await ignored()).length;
    await stage.signalBytes(status.workflowId, 'siteOutcomes', 'none/such', '');
    await stage.signalBytes(status.workflowId, 'abort', 'none/such', '{}');
    await stage.signalBytes(status.workflowId, 'abort', 'json/plain', '{n');
    await until(async () => (await ignored()).length === before + 3, 'they are in the evidence');
    for (const verb of ['pause', 'resume']) {
      const answered = await stage.foothold([verb, FAULT_STREAM, '--reason', 'to see that it still hears']);
      expect([verb, answered.code, answered.stderr]).toEqual([verb, 0, '']);
    }
  });

  it('updates of any form are answered with the form that was expected', async () => {
    for (const [input, got] of [
      [[], 'got undefined'],
      [['--input', '"pause"'], 'got string'],
      [['--input', '{"by":"me"}'], '"reason" is missing'],
      [['--input', `{"by":"me","reason":"${'y'.repeat(50_000)}"}`], 'longer than 2000 characters'],
    ] as const) {
      const answer = await cli('update', '--name', 'pause', ...input);
      expect(answer.code).not.toBe(0);
      expect(answer.stderr).toContain('expected {"by": "<who>", "reason": "<why>"}');
      expect(answer.stderr).toContain(got);
    }
    expect((await stage.rollout(status.label))?.state).toBe('waiting');
  });
});

describe('the end of a wait', () => {
  it('[A31] only a person ends each wait', async () => {
    expect((await stage.foothold(['promote', status.label, '--reason', 'looked at it myself'])).code).toBe(0);
    const next = await until(async () => {
      const now = await stage.rollout(status.label);
      return now?.wait && now.stages[1]?.confirmed === 1 && now;
    }, 'the second stage waits too');
    expect(next.wait?.reason.code).toBe('GATE_QUERY_FAILED');
    expect((await stage.foothold(['promote', status.label, '--reason', 'here too'])).code).toBe(0);
    expect(await stage.sealed(status.label)).toMatchObject({ outcome: 'promoted' });
    const verified = await stage.verified(status.label);
    expect(verified).toMatchObject({ ok: true, kinds: { wait: 2, 'wait-ended': 2 } });
  });

  it('[A31] a wait that runs out never promotes: halted, and then only an override goes on', async () => {
    const label = await stage.begin({ version: '1.1.0' }, 'hasty');
    await until(async () => (await stage.rollout(label))?.outcome === 'halted', `${label} is halted`);
    expect(stage.loads('s2')).toEqual(['1.0.0']);
    const refused = await stage.foothold(['promote', label, '--reason', 'never mind']);
    expect([refused.code, refused.stderr + refused.stdout]).toEqual([1, expect.stringContaining('override')]);
    expect((await stage.foothold(['revert', label, '--reason', 'enough'])).code).toBe(0);
    expect(await stage.sealed(label)).toMatchObject({ outcome: 'reverted' });
    await until(async () => (await stage.statusOf('s1')).streams['relay']?.live?.version === '1.0.0', 's1 is back');
  });
});
