/** The command line's side of the local socket. */
import { connect } from 'node:net';
import { MistakeError, WorldError } from '../../policies/model/failure.js';
import { REASONS, type ReasonCode } from '../../policies/model/reasons.js';
import { LINE_LIMIT, socketPath, type AgentMethod, type AgentMethods, type LocalAnswer } from './protocol.js';

export type { AgentMethods, AgentStatus } from './protocol.js';

const PATIENCE_MS = 120_000;
/** What reads all that is kept, or all that is live, takes as long as the disk does. */
const LONG_PATIENCE_MS = 3_600_000;
const TAKES_LONG: readonly AgentMethod[] = ['mended', 'adopt', 'drift'];

/**
 * Asks the agent that has the data directory. Throws WorldError AGENT_NOT_RUNNING if none answers, AGENT_BUSY if it has not done
 * so in time, and the agent's own MistakeError or WorldError.
 */
export async function callAgent<M extends AgentMethod>(
  dataDirectory: string,
  method: M,
  params: AgentMethods[M]['params'],
  timeoutMs = TAKES_LONG.includes(method) ? LONG_PATIENCE_MS : PATIENCE_MS,
): Promise<AgentMethods[M]['answer']> {
  const path = socketPath(dataDirectory);
  const line = await exchange(path, `${JSON.stringify({ method, params })}\n`, timeoutMs);
  const answer = readAnswer(line, path);
  if (answer.ok) return answer.answer as AgentMethods[M]['answer'];
  const code: ReasonCode = answer.code in REASONS ? (answer.code as ReasonCode) : 'STORE_BROKEN';
  throw answer.family === 'mistake' ? new MistakeError(code, answer.message) : new WorldError(code, answer.message);
}

async function exchange(path: string, request: string, timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const fail = (words: string) => {
      socket.destroy();
      const hint = 'start it with `foothold agent run`, as the same user';
      reject(new WorldError('AGENT_NOT_RUNNING', `expected an agent at ${path}, got: ${words}; ${hint}`));
    };
    const socket = connect(path, () => socket.write(request));
    socket.setTimeout(timeoutMs, () => {
      socket.destroy();
      const hint = 'it may still be at it: look at `foothold agent history` before asking again';
      const message = `expected an answer of the agent at ${path} within ${timeoutMs / 1_000} s, got none; ${hint}`;
      reject(new WorldError('AGENT_BUSY', message));
    });
    socket.on('error', (error) => fail(error.message));
    socket.on('data', (chunk) => {
      length += chunk.length;
      if (length > LINE_LIMIT) fail('an answer that is too long');
      else chunks.push(chunk);
    });
    socket.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
  });
}

function readAnswer(line: string, path: string): LocalAnswer {
  try {
    return JSON.parse(line) as LocalAnswer;
  } catch {
    throw new WorldError('AGENT_NOT_RUNNING', `expected an answer from ${path}, it was cut short`);
  }
}
