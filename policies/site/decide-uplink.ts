/** When an echo still says that the uplink is there (design §5 rule 3). */

/** An instant by the elapsed clock of one boot, in ms. */
export interface Instant {
  bootId: string;
  elapsed: number;
}

export const ECHO_GOOD_FOR_MS = 30_000;

/** No echo, one of another boot and one from the future are none. */
export function isEchoFresh(last: Instant | undefined, now: Instant): boolean {
  if (last?.bootId !== now.bootId) return false;
  const age = now.elapsed - last.elapsed;
  return age >= 0 && age <= ECHO_GOOD_FOR_MS;
}
