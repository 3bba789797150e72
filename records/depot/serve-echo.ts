/** The echo of a depot server, for sites with `uplink: required`: it is reached as the depot is. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { answerEcho } from '../../policies/model/echo.js';

/** The bytes that were answered to a nonce; never throws. */
export async function serveEcho(request: IncomingMessage, response: ServerResponse): Promise<number> {
  const { status, headers, body } = await answerEcho(request as AsyncIterable<Buffer>);
  response.writeHead(status, headers).end(body);
  return status === 200 ? body.length : 0;
}
