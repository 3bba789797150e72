/** An application echo: a number that nobody can know must come back (design §5 rule 3). */
import { randomBytes } from 'node:crypto';
import { ask } from './ask.js';

const MOST = 1_024;

export interface EchoEnd {
  echoed: boolean;
  detail: string;
}

/** Over a connection of its own. A portal that answers everything, and a cache, do not know the number. */
export async function probeEcho(address: string, timeout: number, signal: AbortSignal): Promise<EchoEnd> {
  const nonce = randomBytes(16).toString('hex');
  const answer = await ask({ address, method: 'POST', body: nonce, most: MOST, timeout }, signal);
  if ('failure' in answer) return { echoed: false, detail: `${address}: ${answer.failure}` };
  if (answer.status !== 200) return { echoed: false, detail: `${address}: answered ${answer.status}, expected 200` };
  if (answer.text !== nonce) return { echoed: false, detail: `${address}: answered, but not with what it was sent` };
  return { echoed: true, detail: `${address}: echoed` };
}
