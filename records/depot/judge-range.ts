/** One byte range of an object (RFC 9110 §14). Pure. */

export interface ByteRange {
  /** Both inclusive, within the object. */
  start: number;
  end: number;
}

/**
 * The range to answer with 206; undefined to answer with the whole: no range asked for, several, another unit, or not
 * understood, all of which a server may pass over; `unsatisfiable` if nothing of it lies within the object.
 */
export function judgeRange(header: string | undefined, size: number): ByteRange | undefined | 'unsatisfiable' {
  const [, first, last] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.trim() ?? '') ?? [];
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined;
  if (first === '') {
    const count = Math.min(Number(last), size);
    return count === 0 ? 'unsatisfiable' : { start: size - count, end: size - 1 };
  }
  const start = Number(first);
  const end = last === '' ? size - 1 : Math.min(Number(last), size - 1);
  if (last !== '' && Number(last) < start) return undefined;
  return start >= size ? 'unsatisfiable' : { start, end };
}
