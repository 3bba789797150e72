/** One question with a time limit: to its first end, the limit, or the signal. */

/** Runs `begin`, which returns how to stop. Whatever ends it stops it, so that nothing stays open. */
export async function limited<T>(
  timeout: number,
  signal: AbortSignal,
  words: { late: T; unwanted: T },
  begin: (end: (value: T) => void) => () => void,
): Promise<T> {
  return new Promise((resolve) => {
    let ended = false;
    // Filled in after `begin`, which may end at once.
    const under: { stop?: () => void } = {};
    const end = (value: T) => {
      if (ended) return;
      ended = true;
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
      under.stop?.();
      resolve(value);
    };
    const abort = () => end(words.unwanted);
    const timer = setTimeout(() => end(words.late), timeout);
    signal.addEventListener('abort', abort, { once: true });
    under.stop = begin(end);
    if (ended) under.stop();
    else if (signal.aborted) abort();
  });
}

/** Connecting to a name with several addresses fails with an AggregateError, whose own message is empty. */
export function wordsOf(error: Error): string {
  if (error instanceof AggregateError) return error.errors.map(String).join('; ');
  return error.message;
}
