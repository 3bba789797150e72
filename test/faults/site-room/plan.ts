/** What a seed stands for: streams with releases, orders of the centre, and what goes wrong. Times in ms from its beginning. */
import { chanceOf, type Chance } from '../random.js';
import type { DiskFault } from './disk.js';
import type { Fate, Shape } from './world.js';

export interface PlannedRollout {
  at: number;
  version: string;
  fate: Fate;
  within: number;
  healthyFor: number;
  /** Ms from issue to the latest begin of the switch. */
  patience: number;
  /** Ms after `at`; absent: the centre never undoes it. */
  revertAfter?: number;
  /** A second try, by a person at the centre. */
  retryAfter?: number;
  allowed: boolean;
}

export interface PlannedStream {
  name: string;
  shape: Shape;
  rollouts: PlannedRollout[];
}

/** How a process ends, and what the machine is like when it starts again. */
export interface Doom {
  at: { kind: 'step' | 'commit' | 'file' | 'fault'; nth: number; after: boolean } | { kind: 'time'; ms: number };
  /** `cut`: the power fails, and what no fsync covered is lost. `reboot`: an orderly one. `stop`: the agent is told to end. */
  how: 'kill' | 'cut' | 'reboot' | 'stop';
  downMs: number;
  /** Ms by which the wall clock is off afterwards, more than before. */
  wallStep: number;
  /** One byte of a file in the data directory is flipped, or a file loses its end, while nobody runs. */
  damage?: 'flip' | 'shorten';
  /** The data directory of the start before is put back. */
  restore: boolean;
}

export type Trouble =
  | { kind: 'disk'; at: number; ms: number; fault: DiskFault }
  | { kind: 'disk-once'; at: number; fault: DiskFault; after: number }
  | { kind: 'commit-once'; at: number; after: number }
  | { kind: 'clock'; at: number; step: number }
  | { kind: 'link'; at: number; ms: number }
  | { kind: 'depot'; at: number; ms: number }
  | { kind: 'programs'; at: number; ms: number; stream: string }
  | { kind: 'duplicate'; at: number }
  | { kind: 'person'; at: number; stream: string }
  | { kind: 'keys'; at: number }
  /** From the `after`-th read on, `times` of them fail. */
  | { kind: 'read'; at: number; of: 'database' | 'file'; after: number; times: number }
  /** A person keeps anything new from being switched; `stream` absent: at the whole site. */
  | { kind: 'hold'; at: number; ms: number; stream?: string; ends: 'by person' | 'by time' }
  /** Somebody changes files of what is live. */
  | { kind: 'drift'; at: number; stream: string; what: Drifting };

/** `beside`: a file that the release says nothing of; `in more`: one where it may say `repair`; `filler`: a file of its own. */
export type Drifting = 'beside' | 'in more' | 'filler';

export interface SitePlan {
  seed: number;
  streams: PlannedStream[];
  dooms: Doom[];
  troubles: Trouble[];
  /** Its releases say that `more/**` is put back. */
  repairs: boolean;
  /** Without one, a machine comes up in 1970. */
  battery: boolean;
  /** No fault begins after it. */
  faultsUntil: number;
}

const DAY = 86_400_000;
const FATES: [Fate, ...Fate[]] = [
  ...(['good', 'good', 'good', 'good', 'bad', 'bad', 'hangs', 'flaps', 'late'] as const),
  ...(['reload-fails', 'after-fails', 'before-fails'] as const),
];
const SHAPES: [Shape, ...Shape[]] = ['directory', 'directory', 'loaded', 'both', 'exec'];

export function planSite(seed: number): SitePlan {
  const chance = chanceOf(seed);
  const names = chance.in(0.7) ? ['edge-proxy'] : ['edge-proxy', 'firewall-policy'];
  const streams = names.map((name) => {
    const shape = chance.pick(SHAPES);
    return { name, shape, rollouts: rolloutsOf(chance, shape) };
  });
  const faultsUntil = Math.max(...streams.flatMap(({ rollouts }) => rollouts.map(({ at }) => at))) + 60_000;
  const dooms = Array.from({ length: chance.between(0, 4) }, () => doomOf(chance, faultsUntil));
  let troubles = Array.from({ length: chance.between(0, 4) }, () => troubleOf(chance, faultsUntil, names[0] ?? ''));
  // Drawn apart: what a seed stands for otherwise is what it was before there was this.
  const other = chanceOf(seed * 11 + 1);
  const battery = !other.in(0.25);
  const [first] = streams[0]?.rollouts ?? [];
  if (!battery && first) {
    first.fate = 'hangs';
    dooms.unshift(cutOnWatch(other, first));
    // Of an undo that fails here no deadline can be judged.
    troubles = troubles.filter(({ kind }) => kind !== 'programs');
  }
  const more = chanceOf(seed * 17 + 11);
  if (battery) troubles.push(...furtherTroubles(more, faultsUntil, streams));
  const repairs = more.in(0.5);
  return { seed, streams, dooms, troubles: troubles.sort((a, b) => a.at - b.at), repairs, battery, faultsUntil };
}

function furtherTroubles(chance: Chance, until: number, streams: PlannedStream[]): Trouble[] {
  const at = () => chance.between(1_000, until);
  const some = <T>(of: T[]): T => of[chance.between(0, of.length - 1)] as T;
  const reads = Array.from({ length: chance.in(0.35) ? chance.between(1, 3) : 0 }, (): Trouble => {
    const of = chance.pick(['database', 'file']);
    const after = chance.between(0, of === 'database' ? 150 : 40);
    return { kind: 'read', at: at(), of, after, times: chance.in(0.5) ? 1 : chance.between(2, 12) };
  });
  const holds = Array.from({ length: chance.in(0.25) ? chance.between(1, 2) : 0 }, (): Trouble => {
    const stream = chance.in(0.5) ? { stream: some(streams).name } : {};
    const ends = chance.pick(['by person', 'by time']);
    return { kind: 'hold', at: at(), ms: chance.between(2_000, 120_000), ...stream, ends };
  });
  const drifts = Array.from({ length: chance.in(0.3) ? chance.between(1, 3) : 0 }, (): Trouble => {
    const what = chance.pick(['beside', 'in more', 'in more', 'filler']);
    const directories = streams.filter(({ shape }) => shape !== 'exec');
    const { name, rollouts } = some(directories.length > 0 ? directories : streams);
    const good = rollouts.filter(({ fate }) => fate === 'good');
    const { at: from, healthyFor } = some(good.length > 0 ? good : rollouts);
    // Most of them when it may just have been confirmed: what is on trial, or was never there, is changed by the way only.
    const confirmed = from + healthyFor + chance.between(1_000, 30_000);
    return { kind: 'drift', at: chance.in(0.8) ? confirmed : at(), stream: name, what };
  });
  return [...reads, ...holds, ...drifts];
}

/** The power fails when the first trial has used most of its time, if it is still on then. */
function cutOnWatch(chance: Chance, { at, within }: PlannedRollout): Doom {
  const ms = at + Math.round((within * chance.between(50, 90)) / 100);
  const downMs = chance.between(500, 5_000);
  return { at: { kind: 'time', ms }, how: 'cut', downMs, wallStep: 0, restore: false };
}

function rolloutsOf(chance: Chance, shape: Shape): PlannedRollout[] {
  let at = 1_000;
  let version = 0;
  return Array.from({ length: chance.between(1, 4) }, (_, index) => {
    // Now and then the same release once more: quarantined, perhaps allowed by a person.
    if (index === 0 || !chance.in(0.2)) version += 1;
    const drawn = chance.pick(FATES);
    const within = chance.between(20, 90) * 1_000;
    const rollout: PlannedRollout = {
      at,
      version: `${version}.0.0`,
      fate: drawn === 'reload-fails' && shape === 'directory' ? 'bad' : drawn,
      within,
      healthyFor: chance.between(5, 15) * 1_000,
      patience: chance.in(0.1) ? chance.between(100, 5_000) : 600_000,
      ...(chance.in(0.3) ? { revertAfter: chance.between(1, 60_000) } : {}),
      ...(chance.in(0.15) ? { retryAfter: chance.between(1, 60_000) } : {}),
      allowed: chance.in(0.2),
    };
    at += chance.in(0.3) ? chance.between(1, 5_000) : chance.between(20_000, 120_000);
    return rollout;
  });
}

function doomOf(chance: Chance, until: number): Doom {
  const at = (): Doom['at'] => {
    const after = chance.in(0.5);
    const kind = chance.pick(['step', 'step', 'commit', 'file', 'fault', 'time']);
    if (kind === 'time') return { kind, ms: chance.between(1, until / 2) };
    return { kind, nth: chance.between(1, { step: 18, commit: 30, file: 150, fault: 12 }[kind]), after };
  };
  const damage = chance.in(0.25) ? { damage: chance.pick(['flip', 'shorten']) } : {};
  return {
    at: at(),
    how: chance.pick(['kill', 'kill', 'cut', 'cut', 'cut', 'reboot', 'stop']),
    downMs: chance.in(0.2) ? chance.between(60_000, 300_000) : chance.between(500, 5_000),
    wallStep: chance.in(0.2) ? stepOf(chance) : 0,
    ...damage,
    restore: chance.in(0.05),
  };
}

function stepOf(chance: Chance): number {
  return chance.between(-3, 3) * DAY + chance.between(-3_600_000, 3_600_000);
}

function troubleOf(chance: Chance, until: number, stream: string): Trouble {
  const at = chance.between(0, until);
  const ms = chance.between(500, 40_000);
  const fault = chance.pick(['ENOSPC', 'EIO', 'EROFS']);
  switch (chance.between(0, 10)) {
    case 0:
    case 1:
      return { kind: 'disk', at, ms, fault };
    case 2:
      return { kind: 'disk-once', at, fault, after: chance.between(0, 60) };
    case 3:
      return { kind: 'commit-once', at, after: chance.between(0, 15) };
    case 4:
      return { kind: 'clock', at, step: stepOf(chance) };
    case 5:
      return { kind: 'link', at, ms };
    case 6:
      return { kind: 'depot', at, ms };
    case 7:
      return { kind: 'programs', at, ms: ms / 4, stream };
    case 8:
      return { kind: 'person', at, stream };
    case 9:
      return { kind: 'keys', at };
    default:
      return { kind: 'duplicate', at };
  }
}
