/** What `npm run demo` understands. */
import { parseArgs } from 'node:util';

export interface DemoOptions {
  /** One JSON document on standard output; the transcript goes to standard error. */
  json: boolean;
  /** Leaves everything running at the end, until Ctrl-C. */
  keep: boolean;
  /** Keeps histories, evidence and transcripts of the acts below this directory. */
  record?: string;
}

export const USAGE = 'usage: npm run demo [-- --json] [-- --keep] [-- --record DIR]\n';

/** Throws TypeError for anything else. */
export function readOptions(argv: string[]): DemoOptions {
  const { values } = parseArgs({
    args: argv,
    options: {
      json: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
      record: { type: 'string' },
    },
  });
  return { json: values.json, keep: values.keep, ...(values.record === undefined ? {} : { record: values.record }) };
}
