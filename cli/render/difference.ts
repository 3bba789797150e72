/** What changed between two documents, one line a place. */

const SHOWN = 20;

/** `stages[0].soak: 10m → 5m`, `+ gates.health.metrics[1]: …`, `- owner: grid-duty`; the rest is counted. */
export function differences(before: unknown, after: unknown): string[] {
  const old = new Map(leaves(before, ''));
  const now = new Map(leaves(after, ''));
  const lines = [
    ...[...old].filter(([path]) => !now.has(path)).map(([path, value]) => `- ${path}: ${value}`),
    ...[...now].flatMap(([path, value]) => changed(path, old.get(path), value)),
  ];
  return lines.length <= SHOWN ? lines : [...lines.slice(0, SHOWN), `… and ${lines.length - SHOWN} more`];
}

function changed(path: string, before: string | undefined, after: string): string[] {
  if (before === undefined) return [`+ ${path}: ${after}`];
  return before === after ? [] : [`${path}: ${before} → ${after}`];
}

function* leaves(value: unknown, path: string): Generator<[path: string, value: string]> {
  if (typeof value !== 'object' || value === null) {
    yield [path, JSON.stringify(value) ?? 'undefined'];
    return;
  }
  for (const [key, inner] of Object.entries(value)) {
    const name = Array.isArray(value) ? `${path}[${nameIn(inner, key)}]` : path === '' ? key : `${path}.${key}`;
    yield* leaves(inner, name);
  }
}

/** Sites, stages and metrics are found again by their id or name, wherever they stand in the list. */
function nameIn(item: unknown, index: string): string {
  const { id, name } = (typeof item === 'object' && item !== null ? item : {}) as { id?: unknown; name?: unknown };
  return typeof id === 'string' ? id : typeof name === 'string' ? name : index;
}
