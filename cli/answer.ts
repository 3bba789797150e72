/** What every command gives back, and what the exit codes mean (design §7). */

/** done · the answer is no (failed, rejected, waiting) · the caller's mistake · the world's fault. */
export const EXIT = { done: 0, no: 1, mistake: 2, world: 3 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** `document` is printed with `--json`, `text` otherwise; exactly one of them reaches standard output. */
export interface Answer {
  exit: ExitCode;
  document: unknown;
  text: string;
}

export function done(document: unknown, text: string): Answer {
  return { exit: EXIT.done, document, text };
}
