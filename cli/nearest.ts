/** What to say about a name that does not exist. */
import { nearestName } from '../policies/model/nearest.js';

/** Detail lines for an error about an unknown name: the one that was probably meant, and what there is. */
export function suggestions(wanted: string, candidates: Iterable<string>, what: string): string[] {
  const known = [...new Set(candidates)].sort();
  const close = nearestName(wanted, known);
  const lines = close === undefined ? [] : [`did you mean ${close}?`];
  if (known.length === 0) return [`there is no ${what} yet`];
  return [
    ...lines,
    `known: ${known.slice(0, 10).join(', ')}${known.length > 10 ? ` … and ${known.length - 10} more` : ''}`,
  ];
}
