/** The echo (design §5 rule 3): `POST /echo` answers with the body that it got, if it is a nonce. */

export const ECHO_PATH = '/echo';
/** Bytes that an echo reads at most. */
export const ECHO_MOST = 128;

/** The body of the answer; undefined for anything but a nonce: an echo repeats nobody's words on another's page. */
export function echoOf(body: string): string | undefined {
  return /^[0-9a-f]{16,128}$/.test(body) ? body : undefined;
}
