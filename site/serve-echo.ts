/** The echo beside `/metrics`, for `peer` checks of neighbouring sites. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ECHO_MOST, echoOf } from '../policies/model/echo.js';

/** Never throws. */
export async function serveEcho(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > ECHO_MOST) break;
      chunks.push(chunk);
    }
  } catch {
    // who asked is gone
  }
  const body = length > ECHO_MOST ? undefined : echoOf(Buffer.concat(chunks).toString('latin1'));
  response.writeHead(body === undefined ? 400 : 200, { 'content-type': 'text/plain', 'cache-control': 'no-store' });
  response.end(body ?? 'expected 16 to 128 hex digits\n');
}
