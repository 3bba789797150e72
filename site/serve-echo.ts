/** The echo beside `/metrics`, for `peer` checks of neighbouring sites. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { answerEcho } from '../policies/model/echo.js';

/** Never throws. */
export async function serveEcho(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { status, headers, body } = await answerEcho(request as AsyncIterable<Buffer>);
  response.writeHead(status, headers).end(body);
}
