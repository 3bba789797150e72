/**
 * Workflow interceptors: the worker is told of each activation before its end is sent to the server; and the shards of a
 * rollout that was started to continue early continue early as well.
 */
import { proxySinks, workflowInfo, type Sinks, type WorkflowInterceptorsFactory } from '@temporalio/workflow';

export interface TaskSinks extends Sinks {
  faults: { task(): void };
}

export const interceptors: WorkflowInterceptorsFactory = () => {
  const { faults } = proxySinks<TaskSinks>();
  let continueAfter: number | undefined;
  return {
    inbound: [
      {
        execute(input, next) {
          if (workflowInfo().workflowType === 'rollout') continueAfter = asked(input.args);
          return next(input);
        },
      },
    ],
    outbound: [
      {
        startChildWorkflowExecution(input, next) {
          if (input.workflowType !== 'shard' || continueAfter === undefined) return next(input);
          const args = [input.options.args[0], null, Math.floor(continueAfter / 2)];
          return next({ ...input, options: { ...input.options, args } });
        },
      },
    ],
    internals: [
      {
        concludeActivation(input, next) {
          faults.task();
          return next(input);
        },
      },
    ],
  };
};

/** Of the first run in its own argument, of a later one in what was carried. */
function asked([, carried, own]: unknown[]): number | undefined {
  const before = (carried as { continueAfterEvents?: number } | null | undefined)?.continueAfterEvents;
  // Without being asked a rollout carries what it has by default, which none of a seed ever reaches.
  const after = (own ?? before) as number | undefined;
  return after !== undefined && after < EARLY ? after : undefined;
}

const EARLY = 1_000;
