/** The agent's side of the local socket. Only the agent's own user (and root) can open it. */
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { ZodError, z } from 'zod';
import { MistakeError, WorldError } from '../../policies/model/failure.js';
import { Name } from '../../policies/model/names.js';
import type { Agent } from '../agent.js';
import { AdoptRequest } from '../adopt-request.js';
import { DriftRequest } from '../drift.js';
import { PersonalAnswer, Words } from '../answer-check.js';
import { LINE_LIMIT, socketPath, type LocalAnswer } from './protocol.js';

export interface LocalServer {
  path: string;
  close(): Promise<void>;
}

const person = { by: Words, reason: Words };
const Request = z.discriminatedUnion('method', [
  z.strictObject({ method: z.literal('status'), params: z.strictObject({}) }),
  z.strictObject({ method: z.literal('history'), params: z.strictObject({ limit: z.number().int().positive() }) }),
  z.strictObject({ method: z.literal('adopt'), params: AdoptRequest }),
  z.strictObject({ method: z.literal('confirm'), params: PersonalAnswer }),
  z.strictObject({
    method: z.literal('mended'),
    params: z.strictObject(person),
  }),
  z.strictObject({
    method: z.literal('revert'),
    params: z.strictObject({ stream: Name, ...person }),
  }),
  z.strictObject({
    method: z.literal('hold'),
    params: z.strictObject({ stream: Name.optional(), ...person, lasts: z.number().int().positive().optional() }),
  }),
  z.strictObject({
    method: z.literal('unhold'),
    params: z.strictObject({ stream: Name.optional(), ...person }),
  }),
  z.strictObject({ method: z.literal('drift'), params: DriftRequest }),
]);
type Request = z.infer<typeof Request>;

/** Throws WorldError PORT_IN_USE. */
export async function serveLocal(agent: Agent, dataDirectory: string): Promise<LocalServer> {
  const path = socketPath(dataDirectory);
  // Left over from a killed agent: the lock on the data directory says that none is alive.
  rmSync(path, { force: true });
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    takeLine(socket, (line) => {
      void answerLine(agent, line).then((answer) => socket.end(`${JSON.stringify(answer)}\n`));
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(new WorldError('PORT_IN_USE', `${path}: ${error.message}`)));
    // The mask is set while binding, so that the socket is never open to others, not even for an instant.
    const mask = process.umask(0o177);
    server.listen(path, () => resolve());
    process.umask(mask);
  });
  chmodSync(path, 0o600);
  return {
    path,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function takeLine(socket: Socket, take: (line: string) => void): void {
  let buffered: Buffer[] = [];
  let length = 0;
  socket.on('data', (chunk: Buffer) => {
    length += chunk.length;
    if (length > LINE_LIMIT) return socket.destroy();
    const end = chunk.indexOf(10);
    buffered.push(end < 0 ? chunk : chunk.subarray(0, end));
    if (end < 0) return;
    const line = Buffer.concat(buffered).toString('utf8');
    buffered = [];
    socket.pause();
    take(line);
  });
}

async function answerLine(agent: Agent, line: string): Promise<LocalAnswer> {
  try {
    return { ok: true, answer: await carryOut(agent, Request.parse(JSON.parse(line))) };
  } catch (error) {
    if (error instanceof WorldError) return { ok: false, family: 'world', code: error.code, message: error.message };
    if (error instanceof MistakeError)
      return { ok: false, family: 'mistake', code: error.code, message: error.message };
    const bad = error instanceof ZodError || error instanceof SyntaxError;
    const words = error instanceof Error ? error.message : String(error);
    return {
      ok: false,
      family: bad ? 'mistake' : 'world',
      code: bad ? 'BAD_ARGUMENT' : 'STORE_BROKEN',
      message: words,
    };
  }
}

async function carryOut(agent: Agent, request: Request): Promise<unknown> {
  switch (request.method) {
    case 'status':
      return agent.status();
    case 'history':
      return agent.history(request.params.limit);
    case 'adopt':
      return agent.adopt(request.params);
    case 'confirm':
      return agent.confirm(request.params);
    case 'mended':
      return agent.mended(request.params);
    case 'revert':
      agent.revert(request.params.stream, request.params);
      return { accepted: true };
    case 'hold':
      return agent.hold(request.params);
    case 'unhold':
      return agent.unhold(request.params);
    case 'drift':
      return agent.drift(request.params);
  }
}
