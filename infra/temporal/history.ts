/** Histories that are kept: as Temporal exports them, without what tells of the machine they were recorded on. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';

export type History = Parameters<typeof historyToJSON>[0];

/** Writes `<directory>/<name>.json`: `{ workflowId, history }`. */
export function keepHistory(directory: string, name: string, workflowId: string, history: History): void {
  mkdirSync(directory, { recursive: true });
  const text = historyToJSON(history)
    // Stack traces name the checkout, identities the process and its host.
    .replaceAll(`${process.cwd()}/`, '')
    .replace(/"([A-Za-z][\w.]*-)?\d+@[^"]*?(-[0-9a-f]{32})?"/g, (_, role?: string, sticky?: string) =>
      sticky === undefined ? `"${role?.slice(0, -1) ?? 'client'}"` : `"sticky${sticky}"`,
    );
  const kept = { workflowId, history: JSON.parse(text) as unknown };
  writeFileSync(join(directory, `${name}.json`), `${JSON.stringify(kept)}\n`);
}
