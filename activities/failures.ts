/** How errors leave activities: a mistake is final and carries its reason code as type; everything else is retried. */
import { ApplicationFailure } from '@temporalio/common';
import { MistakeError, WorldError } from '../policies/model/failure.js';

/** Runs `effect` and turns the project's own errors into Temporal's. Details are lines for people, never secrets. */
export async function failing<T>(effect: () => Promise<T>): Promise<T> {
  try {
    return await effect();
  } catch (error) {
    if (error instanceof MistakeError) {
      const message = [error.message, ...error.details.slice(0, 10)].join('\n');
      throw ApplicationFailure.nonRetryable(message, error.code);
    }
    if (error instanceof WorldError) throw ApplicationFailure.retryable(error.message, error.code);
    throw error;
  }
}
