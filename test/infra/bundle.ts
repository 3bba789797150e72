/** The workflows, bundled: as the build left them where it is of these very sources, else bundled now. */
import { fileURLToPath } from 'node:url';
import type { WorkflowBundleOption } from '@temporalio/worker';
import { isBuilt } from '../../infra/setup/steps.mjs';
import { bundleWorkflows } from '../../worker/bundle.js';

const at = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** `interceptors`: a module whose interceptors the workflows run behind; no build holds such a bundle. */
export async function workflowBundle(interceptors?: string): Promise<WorkflowBundleOption> {
  if (interceptors === undefined && (await isBuilt(at('')))) return { codePath: at('dist/workflow-bundle.js') };
  const code = await bundleWorkflows({
    workflowsPath: at('workflows/index.ts'),
    payloadConverterPath: at('workflows/payload-converter.ts'),
    ...(interceptors === undefined ? {} : { interceptors: [interceptors] }),
  });
  return { code, sourceMap: '' };
}
