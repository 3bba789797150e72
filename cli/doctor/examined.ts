/** One thing that `doctor` looked at. */

export interface Examined {
  /** What was looked at, in two or three words. */
  what: string;
  /** `missing`: something will not work; `warn`: something may not, or only the demo needs it. */
  result: 'ok' | 'warn' | 'missing' | 'mended';
  detail: string;
  /** What to type to mend it. */
  mend?: string;
}

export function ok(what: string, detail: string): Examined {
  return { what, result: 'ok', detail };
}
export function missing(what: string, detail: string, mend?: string): Examined {
  return { what, result: 'missing', detail, ...(mend === undefined ? {} : { mend }) };
}
export function warning(what: string, detail: string, mend?: string): Examined {
  return { what, result: 'warn', detail, ...(mend === undefined ? {} : { mend }) };
}

/** Runs a probe; whatever it throws is what is missing. */
export async function examine(what: string, look: () => Promise<Examined[]>, mend?: string): Promise<Examined[]> {
  try {
    return await look();
  } catch (error) {
    return [missing(what, error instanceof Error ? error.message : String(error), mend)];
  }
}
