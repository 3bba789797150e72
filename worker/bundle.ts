/** Bundles the workflows once, at build time: `node dist/worker/bundle.js`. */
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode } from '@temporalio/worker';

export const BUNDLE_PATH = fileURLToPath(new URL('../workflow-bundle.js', import.meta.url));

export interface BundleSources {
  /** Of `workflows/index` and `workflows/payload-converter`. */
  workflowsPath: string;
  payloadConverterPath: string;
  interceptors?: string[];
}

const BUILT: BundleSources = {
  workflowsPath: fileURLToPath(new URL('../workflows/index.js', import.meta.url)),
  payloadConverterPath: fileURLToPath(new URL('../workflows/payload-converter.js', import.meta.url)),
};

/**
 * All workflows share one copy of their modules: to load them anew for each was measured to take half of the time of a short
 * workflow. So none of them may keep state at its top (test/walls/state.ts).
 */
export async function bundleWorkflows({ interceptors = [], ...sources }: BundleSources = BUILT): Promise<string> {
  const silent = { trace() {}, debug() {}, info() {}, log() {}, warn: console.warn, error: console.error };
  const { code } = await bundleWorkflowCode({
    ...sources,
    workflowInterceptorModules: interceptors,
    preloadModules: [sources.workflowsPath],
    logger: silent,
  });
  return code;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  // No await at the top level: the bundled command line loads this file by `require`.
  bundleWorkflows()
    .then((code) => writeFile(BUNDLE_PATH, code))
    .catch((error: unknown) => {
      console.error(error);
      process.exitCode = 1;
    });
}
