/**
 * How long each trial has truly been on watch while its machine was up, over all its reboots, by the clock of the harness that nobody
 * can set (design §5 rule 5). Time in which the machine was off is not counted: no clock of the site need know of it.
 */
import type { StreamRow } from '../../../site/store/rows.js';
import type { Sight } from './invariants.js';

interface OnWatch {
  trial: string;
  at: number;
  bootedAt: number;
  ms: number;
  reboots: number;
  /** A fault of the disk may have kept a mark from being written. */
  doubtful: boolean;
}

export interface TimeRules {
  /** How long beyond its deadline an undo may take to begin. */
  slackMs: number;
  /** What one reboot may make a site forget: the longest that a mark stays. */
  forgottenMs: number;
}

export class TimeOnWatch {
  private readonly known = new Map<string, OnWatch>();

  constructor(private readonly rules: TimeRules) {}

  /** Other books: what was known says nothing of them. */
  forget(): void {
    this.known.clear();
  }

  /** What is wrong, or nothing. */
  see(sight: Pick<Sight, 'at' | 'bootedAt' | 'upSince' | 'trouble'>, row: StreamRow): string | undefined {
    const { at, bootedAt, upSince, trouble } = sight;
    const { stream, state, trial } = row;
    if (state !== 'watching' || !trial) return void this.known.delete(stream);
    const name = `${trial.releaseId} ${trial.commandId ?? ''}`;
    const known = this.known.get(stream);
    const before = known?.trial === name ? known : { trial: name, at, bootedAt, ms: 0, reboots: 0, doubtful: false };
    const now = {
      ...{ trial: name, at, bootedAt },
      ms: before.ms + Math.max(0, at - Math.max(before.at, bootedAt)),
      reboots: before.reboots + (bootedAt === before.bootedAt ? 0 : 1),
      doubtful: before.doubtful || trouble,
    };
    this.known.set(stream, now);
    // A deadline that passed while no agent ran is kept by the next one, as soon as it has begun.
    if (now.doubtful || upSince === undefined || at - upSince < this.rules.slackMs) return undefined;
    const most = trial.within + this.rules.slackMs + now.reboots * this.rules.forgottenMs;
    if (now.ms <= most) return undefined;
    return `${name} of ${stream}: watched for more than ${most} ms over ${now.reboots} reboots, ${trial.within} ms were allowed`;
  }
}
