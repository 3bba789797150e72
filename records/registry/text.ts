/** JSON as the registry stores it. Samples may hold NaN and infinities, which JSON alone would turn into null. */

const TAG = '$number';

export function toText(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'number' && !Number.isFinite(part) ? { [TAG]: String(part) } : part,
  );
}

export function fromText<T>(text: string): T {
  if (!text.includes(`"${TAG}"`)) return JSON.parse(text) as T;
  return JSON.parse(text, (_key, part: unknown) => {
    if (typeof part !== 'object' || part === null || !(TAG in part)) return part;
    return typeof part[TAG] === 'string' && Object.keys(part).length === 1 ? Number(part[TAG]) : part;
  }) as T;
}

/**
 * `value` as canonical JSON can carry it, for evidence: what a person or a broken client sent must never make an
 * append fail. Numbers that JSON lacks become their names, unpaired surrogates the replacement character.
 */
export function asPlain(value: unknown): unknown {
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value);
  if (typeof value === 'string') return wellFormed(value);
  if (typeof value === 'bigint') return String(value);
  if (Array.isArray(value)) return value.map((part) => asPlain(part) ?? null);
  if (typeof value !== 'object' || value === null) return typeof value === 'function' ? undefined : value;
  if ('toJSON' in value && typeof value.toJSON === 'function') return asPlain((value.toJSON as () => unknown)());
  const parts = Object.entries(value).map(([key, part]) => [wellFormed(key), asPlain(part)] as const);
  return Object.fromEntries(parts.filter(([, part]) => part !== undefined));
}

function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, '\ufffd');
}
