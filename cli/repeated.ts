/** For options that may be given more than once. In a file of its own, so that what has such an option loads nothing else. */

export function collect(value: string, before: string[]): string[] {
  return [...before, value];
}
