import { asyncLocalStorage, Context, type Info } from '@temporalio/activity';

/** `work` as the SDK would run it in an activity that nobody cancels; heartbeats go nowhere. */
export function inActivity<T>(info: Partial<Info>, work: () => Promise<T>): Promise<T> {
  const never = new Promise<never>(() => undefined);
  const none = undefined as never;
  const { signal } = new AbortController();
  const context = new Context(info as Info, never, signal, () => undefined, undefined, none, none, {});
  return asyncLocalStorage.run(context, work);
}
