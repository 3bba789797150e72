/** What a release's program gets of the agent's surroundings, and what of it reaches a reason. */
import { afterEach, describe, expect, it } from 'vitest';
import { runProgram } from '../../site/drivers/program.js';

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

  it('[B43] names a program that is not there, and ends one that hangs', async () => {
    expect((await runProgram({ ...call, argv: ['/no/such/program'] })).detail).toContain('could not be started');
    expect(await runProgram({ ...call, timeout: 100, argv: ['sleep', '30'] })).toMatchObject({
      ok: false,
      detail: 'killed after 100 ms',
    });
  });
});
