/** `include`: files beside the fleet's, by name or with `*` in the last part of the path. */
import { readdir } from 'node:fs/promises';
import { basename, dirname, extname, isAbsolute, join, resolve } from 'node:path';
import { findingOf, type Finding, type SourceFile } from './located.js';

const READABLE = ['.yaml', '.yml', '.json', '.csv'];

/** Paths in the order written, those of one pattern by name. A pattern that finds nothing is a finding: sites would be missing. */
export async function includedFiles(
  source: SourceFile,
  patterns: string[],
  directory: string,
): Promise<{ paths: string[]; findings: Finding[] }> {
  const paths: string[] = [];
  const findings: Finding[] = [];
  for (const [i, pattern] of patterns.entries()) {
    const found = await matching(directory, pattern);
    const messages = found.length === 0 ? [nothingFits(pattern)] : [];
    for (const path of found) {
      const objection = objectionTo(path, source.path, paths);
      if (objection === undefined) paths.push(path);
      else messages.push(objection);
    }
    findings.push(...messages.map((message) => findingOf(source, { path: ['include', i], message })));
  }
  return { paths, findings };
}

function nothingFits(pattern: string): string {
  const star = dirname(pattern).includes('*') ? '; a `*` stands only in the last part of the path' : '';
  return `expected a file that fits \`${pattern}\`, found none${star}`;
}

function objectionTo(path: string, self: string, earlier: string[]): string | undefined {
  if (resolve(path) === resolve(self)) return `${path} would include itself`;
  if (earlier.some((other) => resolve(other) === resolve(path))) return `${path} is included twice`;
  if (READABLE.includes(extname(path))) return undefined;
  return `expected files that end in ${READABLE.join(', ')}, found ${path}`;
}

async function matching(directory: string, pattern: string): Promise<string[]> {
  const path = isAbsolute(pattern) ? pattern : join(directory, pattern);
  const [folder, last] = [dirname(path), basename(path)];
  const names = await readdir(folder).catch((): string[] => []);
  if (!last.includes('*')) return names.includes(last) ? [path] : [];
  const shape = new RegExp(`^${last.split('*').map(literally).join('.*')}$`);
  return names
    .filter((name) => !name.startsWith('.') && shape.test(name))
    .sort()
    .map((name) => join(folder, name));
}

function literally(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}
