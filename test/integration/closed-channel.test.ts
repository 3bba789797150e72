/** A call that is to be tried again on a connection that was closed meanwhile: the process goes on, and ends for anything else. */
import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { expect, it } from 'vitest';

/** Built by the set-up of `npm test`. */
const DIST = resolve(import.meta.dirname, '../../dist');

/** A server that was there and is gone: the client tries again, from a timer. */
const script = (guard: string, after = '') => `
import { createServer } from 'node:net';
import { Client, Connection } from '@temporalio/client';
import { openLog } from '${DIST}/worker/log.js';
import { outliveClosedChannels } from '${DIST}/worker/closed-channel.js';
${guard}
const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
await new Promise((listening) => server.once('listening', listening));
const connection = Connection.lazy({ address: '127.0.0.1:' + server.address().port });
const client = new Client({ connection });
client.workflowService.describeNamespace({ namespace: 'default' }).catch(() => undefined);
await new Promise((later) => setTimeout(later, 300));
await connection.close();
${after}
await new Promise((later) => setTimeout(later, 4_000));
console.log('went on');
process.exit(0);
`;
const GUARD = "outliveClosedChannels(openLog('test'));";

function run(text: string): { code: number | null; said: string } {
  const args = ['--input-type=module', '-e', text];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: DIST,
    encoding: 'utf8',
    timeout: 20_000,
  });
  return { code: status, said: stdout + stderr };
}

it('ends a process that has no guard: as long as it does, the guard is needed', () => {
  const { code, said } = run(script(''));
  expect([code, said]).toEqual([1, expect.stringContaining('Channel has been shut down')]);
});

it('is logged where there is one, and the process goes on', () => {
  const { code, said } = run(script(GUARD));
  expect([code, said]).toEqual([0, expect.stringContaining('went on')]);
  expect(said).toContain('a call was to be tried again on a connection that is closed');
});

it('any other error that nobody caught still ends the process, with its stack', () => {
  const { code, said } = run(script(GUARD, "setTimeout(() => { throw new Error('a bug'); }, 10);"));
  expect([code, said]).toEqual([1, expect.stringMatching(/Error: a bug\n\s+at /)]);
  expect(said).not.toContain('went on');
});
