/** What a release's program gets of the agent's surroundings, and what of it reaches a reason. */
import { afterEach, describe, expect, it } from 'vitest';
import { hashOfEntry } from '../../policies/signing/chain.js';
import { messageOf } from '../../site/advance.js';
import { demandProgram, runProgram } from '../../site/drivers/program.js';

const call = { cwd: '/', timeout: 5_000 };

describe('runProgram', () => {
  afterEach(() => {
    delete process.env['TEMPORAL_API_KEY'];
  });

  it('hands on where programs and languages are found, and no credential of the agent', async () => {
    process.env['TEMPORAL_API_KEY'] = 'not-for-releases';
    const end = await runProgram({ ...call, argv: ['sh', '-c', 'env; exit 3'], env: { FOOTHOLD_SAVED: '/saved' } });
    expect(end.output).toContain('PATH=');
    expect(end.output).toContain('FOOTHOLD_SAVED=/saved');
    expect(end.output).not.toContain('not-for-releases');
    expect(end.detail).not.toContain('not-for-releases');
    expect(end.detail).toMatch(/^exit 3: /);
  });

  it('has last words that an event can carry, wherever a character is cut', async () => {
    const script = "for i in $(seq 300); do printf '\\360\\237\\230\\200'; done; printf x; exit 3";
    const { detail } = await runProgram({ ...call, argv: ['sh', '-c', script] });
    expect(detail).toMatch(/^exit 3: 😀+x$/u);
    expect(() => hashOfEntry({ detail })).not.toThrow();
  });

  it('is named in a reason no longer than a result can carry', async () => {
    const argv = ['sh', '-c', `exit 3 # ${'x'.repeat(100_000)}`];
    const error: unknown = await demandProgram({ ...call, argv }, 'SWITCH_FAILED', 'apply').catch((e: unknown) => e);
    expect(messageOf(error)).toHaveLength(2_000);
    expect(messageOf(error)).toMatch(/^apply \(sh -c exit 3/);
  });

  it('[B43] names a program that is not there, and ends one that hangs', async () => {
    expect((await runProgram({ ...call, argv: ['/no/such/program'] })).detail).toContain('could not be started');
    expect(await runProgram({ ...call, timeout: 100, argv: ['sleep', '30'] })).toMatchObject({
      ok: false,
      detail: 'killed after 100 ms',
    });
  });
});
