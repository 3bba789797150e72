/** What the reconciler of a stream decides upon: plain data, gathered by an activity. Times in epoch ms. */
import type { ShardInput } from '../model/outline.js';
import type { OwedSite } from './owed-site.js';
import type { CatchUpPace } from './pace.js';

/** A shard that carried reverts which sites still owe, and that is gone: started again with the same commands. */
export interface LostCarrier {
  workflowId: string;
  input: ShardInput;
}

/** What sites are brought to: the release that a rollout left as desired. */
export interface CatchUpTarget {
  /** `<stream>@<version>` */
  release: string;
  strategy: string;
}

export interface CatchUpFacts {
  stream: string;
  pace: CatchUpPace;
  /** A rollout of the stream that has not been sealed: it owns the sites of its plan. */
  running?: { label: string; workflowId: string; isCatchUp: boolean };
  lost: LostCarrier[];
  /** By the first run id that `owed` names. */
  targets: Record<string, CatchUpTarget>;
  /** Sites that may be commanded now, oldest first, and those of which it is known when they may. */
  owed: OwedSite[];
  /** How many differ from what they should run, also those that only a person or their return can help, by code. */
  total: number;
  hindered: Record<string, number>;
}
