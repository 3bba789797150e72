/** Bundles the workflows once, at build time: `node dist/worker/bundle.js`. */
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode } from '@temporalio/worker';

export const BUNDLE_PATH = fileURLToPath(new URL('../workflow-bundle.js', import.meta.url));

export async function bundleWorkflows(): Promise<string> {
  const workflowsPath = fileURLToPath(new URL('../workflows/index.js', import.meta.url));
  const payloadConverterPath = fileURLToPath(new URL('../workflows/payload-converter.js', import.meta.url));
  const silent = { trace() {}, debug() {}, info() {}, log() {}, warn: console.warn, error: console.error };
  const { code } = await bundleWorkflowCode({ workflowsPath, payloadConverterPath, logger: silent });
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
