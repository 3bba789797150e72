/** Interceptors under which the lock of a rollout called `…slow-<n>s…` takes n seconds to let go. */
import { CancellationScope, sleep, workflowInfo, type WorkflowInterceptorsFactory } from '@temporalio/workflow';
import type { LockHolder } from '../../activities/contract.js';

export const interceptors: WorkflowInterceptorsFactory = () => ({
  inbound: [
    {
      async execute(input, next) {
        const holder = input.args[0] as LockHolder | undefined;
        const slow = /slow-(\d+)s/.exec(holder?.workflowId ?? '');
        if (workflowInfo().workflowType !== 'streamLock' || !slow) return next(input);
        try {
          return await next(input);
        } catch (error) {
          await CancellationScope.nonCancellable(() => sleep(Number(slow[1]) * 1_000));
          throw error;
        }
      },
    },
  ],
});
