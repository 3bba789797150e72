/** An agent that is there and does not answer is not one that is not running. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { callAgent } from '../../site/local/client.js';
import { socketPath } from '../../site/local/protocol.js';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'foothold-local-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

it('says that it may still be at work, where it took the request', async () => {
  const sockets: Socket[] = [];
  const mute = createServer((socket) => sockets.push(socket));
  await new Promise<void>((listening) => mute.listen(socketPath(directory), listening));
  try {
    const asked = callAgent(directory, 'mended', { by: 'kari', reason: 'a new disk' }, 50);
    await expect(asked).rejects.toMatchObject({
      code: 'AGENT_BUSY',
      message: expect.stringMatching(/within 0\.05 s, got none; it may still be at it/) as string,
    });
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise((closed) => mute.close(closed));
  }
});

it('says that none is running, where nobody listens', async () => {
  await expect(callAgent(directory, 'status', {}, 50)).rejects.toMatchObject({ code: 'AGENT_NOT_RUNNING' });
});
