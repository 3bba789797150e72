/** What the sweep and the process of a control worker say to each other. */
import type { CallFault, Fault } from './seed-faults.js';

/** A fault that the worker's process injects, by its place in the seed's list. */
export type WorkerFault = { index: number; at: number } & (
  { on: 'activity'; how: CallFault } | { on: 'task'; how: 'kill' } | { on: 'rollout-task'; how: 'ask' }
);

export interface OpenOrder {
  address: string;
  namespace: string;
  bundlePath: string;
  /** Keep no workflow in memory. */
  forgetful: boolean;
}

export interface SeedOrder {
  stream: string;
  /** Workflow id of the rollout whose tasks are counted. */
  rollout: string;
  projectPath: string;
  depot: string;
  registry: string;
  prometheusUrl: string;
  controlKeyPem: string;
  /** Where a rotation puts the next one in its place; without it no key is ever rotated. */
  controlKeyPath?: string;
  faults: WorkerFault[];
  /** Calls and tasks before the process that was here was killed. */
  counts: Counts;
}

export interface Counts {
  activity: number;
  task: number;
  'rollout-task': number;
}

export type ToPart = { open: OpenOrder } | { seed: SeedOrder } | { forget: string } | { acted: number };

export type FromPart =
  | { opened: true }
  | { took: string }
  | { failed: string }
  /** The seed's fault of this index was injected. `ask`: the workflow task waits until it was acted upon. */
  | { injected: { stream: string; index: number; counts: Counts; what: string; ask?: number } }
  | { counted: { stream: string; counts: Counts } };

export function workerFaults(faults: Fault[]): WorkerFault[] {
  return faults.flatMap((fault, index): WorkerFault[] => {
    if (fault.on === 'converge') return [];
    if (fault.on === 'rollout-task') return [{ index, at: fault.at, on: fault.on, how: 'ask' }];
    return [{ ...fault, index }];
  });
}
