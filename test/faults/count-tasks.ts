/** A workflow interceptor that tells the worker of each activation before its end is sent to the server. */
import { proxySinks, type Sinks, type WorkflowInterceptorsFactory } from '@temporalio/workflow';

export interface TaskSinks extends Sinks {
  faults: { task(): void };
}

export const interceptors: WorkflowInterceptorsFactory = () => {
  const { faults } = proxySinks<TaskSinks>();
  return {
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
