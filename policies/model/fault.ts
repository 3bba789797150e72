/** What is wrong with a written file, and where in it: pure data, so that rules need no file to be tested. */

/** Keys and list positions from the root of the file. */
export type Path = (string | number)[];

/** One thing wrong. `on: 'key'` points at the key itself; `first` is the earlier place that a repetition clashes with. */
export interface Fault {
  path: Path;
  message: string;
  on?: 'key';
  first?: Path;
}

/** `checks[0].every`, as people would say it. */
export function pathText(path: Path): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`;
    return text === '' ? part : `${text}.${part}`;
  }, '');
}

/** A fault for each name that an earlier entry already used. */
export function repeatedNames(what: string, names: string[], pathOf: (index: number) => Path): Fault[] {
  return names.flatMap((name, index) => {
    const first = names.indexOf(name);
    if (first === index) return [];
    return [{ path: pathOf(index), message: `${what} \`${name}\` is there twice`, first: pathOf(first) }];
  });
}
