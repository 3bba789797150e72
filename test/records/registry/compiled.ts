/** The registry as plain JavaScript, for the processes that a test starts: they have no TypeScript loader. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import ts from 'typescript';

const ROOT = resolve(import.meta.dirname, '../../..');
const PARTS = ['policies', 'records/registry', 'test/records/registry'];

/** Transpiles the registry and the files beside this one below `dist/`, where its imports find the packages. */
export function compileRegistry(): { path: (file: string) => string; remove: () => void } {
  mkdirSync(join(ROOT, 'dist'), { recursive: true });
  const target = mkdtempSync(join(ROOT, 'dist/registry-test-'));
  for (const part of PARTS) {
    for (const name of readdirSync(join(ROOT, part), { recursive: true, encoding: 'utf8' }).filter((file) =>
      /(?<!\.test)\.ts$/.test(file),
    )) {
      const compilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023 };
      const { outputText } = ts.transpileModule(readFileSync(join(ROOT, part, name), 'utf8'), { compilerOptions });
      const file = join(target, part, name.replace(/ts$/, 'js'));
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, outputText);
    }
  }
  return { path: (file) => join(target, file), remove: () => rmSync(target, { recursive: true, force: true }) };
}
