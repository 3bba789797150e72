/** The echo (design §5 rule 3): `POST /echo` answers with the body that it got, if it is a nonce. */

export const ECHO_PATH = '/echo';
/** Bytes that an echo reads at most. */
export const ECHO_MOST = 128;

/** The body of the answer; undefined for anything but a nonce: an echo repeats nobody's words on another's page. */
export function echoOf(body: string): string | undefined {
  return /^[0-9a-f]{16,128}$/.test(body) ? body : undefined;
}

export interface EchoAnswer {
  status: 200 | 400;
  headers: Record<string, string>;
  body: string;
}

/** What any server of an echo answers to a request's body; never throws, and reads no more than it needs. */
export async function answerEcho(request: AsyncIterable<Uint8Array>): Promise<EchoAnswer> {
  let body = '';
  try {
    for await (const chunk of request) {
      body += String.fromCharCode(...chunk.subarray(0, ECHO_MOST + 1));
      if (body.length > ECHO_MOST) break;
    }
  } catch {
    // who asked is gone
  }
  const echo = echoOf(body);
  const headers = { 'content-type': 'text/plain', 'cache-control': 'no-store' };
  return { status: echo === undefined ? 400 : 200, headers, body: echo ?? 'expected 16 to 128 hex digits\n' };
}
