/** Which files of a release belong to which component, and which of them are templates. */
import type { Driver } from '../model/release.js';

/** A file of a component: `name` is its path below the component's directory, with forward slashes. */
export interface ComponentFile<F> {
  file: F;
  name: string;
  template: boolean;
}

/**
 * The files of one component, in the order given. `files` names a directory (its content, by relative names) or a
 * single file (by its own name). `templates` are globs over these names, and a rendered file keeps its name.
 */
export function componentFiles<F extends { path: string }>(driver: Driver, files: readonly F[]): ComponentFile<F>[] {
  const root = rootOf(driver.files);
  const templates = driver.templates.map(globToRegExp);
  return files.flatMap((file) => {
    const name = nameBelow(root, file.path);
    return name === undefined ? [] : [{ file, name, template: templates.some((glob) => glob.test(name)) }];
  });
}

/** `./files/` → `files`, `.` → nothing. What leaves the release directory is refused where releases are published. */
export function rootOf(files: string): string {
  return files
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/');
}

/** `*` and `?` stop at a slash and match dot files too; `**` stands for any directories. No other letter is special. */
export function globToRegExp(glob: string): RegExp {
  const source = glob.replace(/^\.\//, '').replace(/\*\*\/|\*\*|\*|\?|[^*?]/g, (part) => {
    if (part === '**/') return '(?:[^/]+/)*';
    if (part === '**') return '.*';
    if (part === '*') return '[^/]*';
    if (part === '?') return '[^/]';
    return part.replace(/[\\^$.|+()[\]{}]/, '\\$&');
  });
  return new RegExp(`^${source}$`, 'su');
}

function nameBelow(root: string, path: string): string | undefined {
  if (root === '') return path;
  if (path === root) return path.slice(path.lastIndexOf('/') + 1);
  return path.startsWith(`${root}/`) ? path.slice(root.length + 1) : undefined;
}
