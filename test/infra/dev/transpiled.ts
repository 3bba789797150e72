/** A built copy of `infra/dev/process.ts`, for tests that need it in a process of its own. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import ts from 'typescript';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const MODULES = ['infra/dev/process', 'infra/dev/reaper', 'policies/model/failure'];

/** Writes the modules below `directory`; returns the URL of the first. */
export function transpiled(directory: string): string {
  const out = join(directory, 'built');
  for (const module of MODULES) {
    const { outputText } = ts.transpileModule(readFileSync(join(ROOT, `${module}.ts`), 'utf8'), {
      compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022, verbatimModuleSyntax: true },
    });
    mkdirSync(dirname(join(out, module)), { recursive: true });
    writeFileSync(join(out, `${module}.js`), outputText);
  }
  writeFileSync(join(out, 'package.json'), '{ "type": "module" }');
  return pathToFileURL(join(out, 'infra/dev/process.js')).href;
}
