/** What the answers to a steady stream of requests say about an outage. */

/** One answered request; `at` is when the answer came, epoch ms. No answer at all has the code `000`. */
export interface Answer {
  at: number;
  code: string;
}

/** Requests answered in a span of time; failed is every code but 200. */
export interface Count {
  requests: number;
  failed: number;
  codes: Record<string, number>;
}

export interface Outage {
  /** Of the first bad answer. */
  badSinceMs: number;
  /** Of the first of `good` good answers in a row; absent while there are not as many. */
  restoredMs?: number;
}

export function countAnswers(answers: readonly Answer[], from: number, to: number): Count {
  const count: Count = { requests: 0, failed: 0, codes: {} };
  for (const { at, code } of answers) {
    if (at < from || at > to) continue;
    count.requests += 1;
    if (code !== '200') count.failed += 1;
    count.codes[code] = (count.codes[code] ?? 0) + 1;
  }
  return count;
}

/** The first outage at or after `from`, over once `good` answers in a row were good. */
export function nextOutage(answers: readonly Answer[], from: number, good = 8): Outage | undefined {
  const since = answers.findIndex(({ at, code }) => at >= from && code !== '200');
  const first = answers[since];
  if (!first) return undefined;
  let start = since;
  for (let index = since; index < answers.length; index += 1) {
    if (answers[index]?.code !== '200') start = index + 1;
    const row = answers[start];
    if (index - start + 1 === good && row) return { badSinceMs: first.at, restoredMs: row.at };
  }
  return { badSinceMs: first.at };
}
