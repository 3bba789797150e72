/**
 * A release that is well is undone only for a cause that really was, and is confirmed once it has been healthy for long
 * enough. Each undo is held against what the harness itself did to that stream since that switch; whatever the site says
 * of its reasons counts for nothing by itself.
 */
import type { Cause, Command } from '../../../policies/model/command.js';
import type { SiteEvent } from '../../../policies/model/report.js';
import type { Sight } from './invariants.js';

/** How a release that is well is watched. */
export interface Well {
  within: number;
  healthyFor: number;
}

/** What the world has told the site of a stream, counted from the beginning. */
export interface Refusals {
  /** Checks that were answered as failed. */
  checks: number;
  /** Other programs that failed. */
  programs: number;
}

export interface GoodFacts {
  /** Of a release by digest, if its checks pass as long as it is what is live. */
  well: (digest: string) => (Well & { version: string }) | undefined;
  refusals: (stream: string) => Refusals;
  orders: () => readonly Command[];
  /** The site says that it trusts its disk no longer: believed where the disk did fail it. */
  distrustsDisk: () => boolean;
  say: (invariant: string, detail: string) => void;
}

/** One switch to a release that is well. Times in ms of a clock that nobody can set. */
interface Change extends Well {
  stream: string;
  version: string;
  digest: string;
  commandId: string;
  phase: 'switching' | 'watching' | 'confirmed' | 'undoing' | 'undone' | 'put-back';
  switchedAt: number;
  /** Starts of the agent since. */
  starts: number;
  rebooted: boolean;
  /** A start came between the switch and its end. */
  cutShort: boolean;
  refusals: Refusals;
  /** Since when its watch has gone on with nothing in its way. */
  wellSince: number | undefined;
  checksThen: number;
}

/** Of a whole sweep: what became of the switches to releases that are well. */
export interface GoodCounts {
  switched: number;
  confirmed: number;
  /** Undone or lost from sight before they were confirmed, by the cause that really was. */
  excused: Record<string, number>;
}

/** A watch samples once a second, and a write that failed is tried again as often. */
const GRACE_MS = 3_000;
const UNDONE = 'a good release is undone only for a cause that was';
const CONFIRMED = 'what is healthy for long enough is confirmed';
const STAYS = 'what was confirmed and left alone stays live';

export class GoodChanges {
  private readonly changes: Change[] = [];
  private readonly counted: GoodCounts = { switched: 0, confirmed: 0, excused: {} };
  /** By stream: what was confirmed last, with nothing begun since. */
  private readonly standing = new Map<string, string>();
  private readonly askedAt = new Map<string, number>();
  private readonly rottenAt = new Map<string, number>();
  private storageFails = false;
  private storageAt = -Infinity;
  private clockSetAt = -Infinity;
  private seenAt = 0;
  private blind = false;

  constructor(private readonly facts: GoodFacts) {}

  /** The disk failed an operation of the agent at this instant. */
  storageFailed(at: number): void {
    this.storageAt = Math.max(this.storageAt, at);
  }
  storageFailing(at: number, failing: boolean): void {
    this.storageFailed(at);
    this.storageFails = failing;
  }
  clockSet(at: number): void {
    this.clockSetAt = at;
  }
  rebooted(): void {
    for (const change of this.changes) change.rebooted = true;
  }
  askedByPerson(stream: string, at: number): void {
    this.askedAt.set(stream, at);
  }
  damaged(stream: string, at: number): void {
    this.rottenAt.set(stream, at);
  }
  /** The site knows nothing of what was switched since. */
  restored(): void {
    for (const change of this.changes) {
      if (['switching', 'watching', 'undoing'].includes(change.phase)) this.excuse('an older data directory');
      if (change.phase !== 'undone') change.phase = 'put-back';
    }
    this.standing.clear();
    this.blind = true;
  }

  counts(): GoodCounts {
    return this.counted;
  }

  see(sight: Sight): void {
    if (this.storageFails) this.storageAt = sight.at;
    // The first sight of a journal that was put back tells of what was long ago.
    if (!this.blind) for (const event of sight.books.fresh) this.take(event, sight);
    if (sight.books.fresh.length > 0) this.blind = false;
    for (const change of this.changes) if (change.phase === 'watching') this.judgeWatch(change, sight);
    this.seenAt = sight.at;
  }

  /** `isDoubtful`: what is live there was damaged, or nobody can know. */
  end({ live }: Sight, isDoubtful: (stream: string) => boolean): void {
    for (const [stream, version] of this.standing) {
      const shown = live[stream] ?? [];
      if (isDoubtful(stream) || (shown.length === 1 && shown[0] === version)) continue;
      this.facts.say(STAYS, `${stream}: ${version} was confirmed last, ${shown.join(' and ')} is live`);
    }
    for (const { phase, stream, version } of this.changes) {
      if (phase === 'switching' || phase === 'watching') this.facts.say(CONFIRMED, `${stream} ${version} is ${phase}`);
    }
  }

  private take(event: SiteEvent, sight: Sight): void {
    const { kind, stream = '', detail } = event;
    const open = this.changes.findLast(
      (one) => one.stream === stream && (one.phase === 'switching' || one.phase === 'watching'),
    );
    if (kind === 'started') this.started();
    if (kind === 'switching') this.switched(event, sight);
    if (kind === 'watching' && open) open.phase = 'watching';
    if (kind === 'confirmed' && open && detail['changed'] !== false) this.confirmed(open);
    if (kind === 'reverting' && open) open.phase = 'undoing';
    if (kind === 'reverted' || kind === 'safe-mode') this.undone(event, sight);
  }

  private started(): void {
    for (const change of this.changes) {
      change.starts += 1;
      if (change.phase === 'switching') change.cutShort = true;
    }
  }

  private switched({ commandId = '', stream = '' }: SiteEvent, { at, books, switching }: Sight): void {
    this.standing.delete(stream);
    const digest = books.commands.find(({ command }) => command.id === commandId)?.command.digest ?? '';
    const well = this.facts.well(digest);
    if (!well) return;
    this.counted.switched += 1;
    const refusals = this.facts.refusals(stream);
    this.changes.push({
      ...well,
      ...{ stream, digest, commandId, phase: 'switching', starts: 0, rebooted: false, cutShort: false, refusals },
      // Of one that its process did not live to show, no more is known than that it came after the last look.
      switchedAt: switching ? at : this.seenAt,
      ...{ wellSince: undefined, checksThen: refusals.checks },
    });
  }

  private confirmed(change: Change): void {
    change.phase = 'confirmed';
    this.counted.confirmed += 1;
    this.standing.set(change.stream, change.version);
  }

  /** It has had all that a confirmation needs, for as long as it takes, and some more. */
  private judgeWatch(change: Change, { at, upSince }: Sight): void {
    const { checks } = this.facts.refusals(change.stream);
    // Nothing is confirmed on a disk that has failed until a person says that it was mended.
    const distrusted = this.storageAt > -Infinity && this.facts.distrustsDisk();
    const disturbed =
      upSince === undefined || checks !== change.checksThen || this.storageAt + GRACE_MS > at || distrusted;
    change.checksThen = checks;
    if (disturbed) change.wellSince = undefined;
    else change.wellSince = Math.max(change.wellSince ?? at, upSince);
    const ms = at - (change.wellSince ?? at);
    if (ms <= change.healthyFor + GRACE_MS) return;
    const detail = `${change.stream} ${change.version} has been healthy for ${Math.round(ms)} ms of ${change.healthyFor}`;
    this.facts.say(CONFIRMED, detail);
    change.wellSince = undefined;
  }

  private undone({ stream = '', detail }: SiteEvent, sight: Sight): void {
    const { undone, cause, reason } = detail as {
      undone?: { digest: string };
      cause?: Cause;
      reason?: { code: string };
    };
    if (!undone || !cause) return;
    if (this.facts.well(undone.digest)?.version === this.standing.get(stream)) this.standing.delete(stream);
    const change = this.changes.findLast(
      (one) => one.stream === stream && one.digest === undone.digest && one.phase !== 'undone',
    );
    if (!change || change.phase === 'put-back') return;
    const wasConfirmed = change.phase === 'confirmed';
    change.phase = 'undone';
    const why = this.causeOf(change, cause, reason?.code ?? '', sight.at);
    if (why === undefined) {
      const which = `${stream} ${change.version}, ${cause} ${reason?.code ?? ''}`;
      return this.facts.say(UNDONE, `${which}, ${Math.round(sight.at - change.switchedAt)} ms after its switch`);
    }
    if (!wasConfirmed) this.excuse(why);
  }

  private excuse(why: string): void {
    this.counted.excused[why] = (this.counted.excused[why] ?? 0) + 1;
  }

  /** What really was, of that which entitles the site to an undo with this cause; undefined: nothing was. */
  private causeOf(change: Change, cause: Cause, code: string, now: number): string | undefined {
    const since = (at: number | undefined) => (at ?? -Infinity) >= change.switchedAt;
    const failing = since(this.storageAt) ? 'the disk failed' : undefined;
    const { checks, programs } = this.facts.refusals(change.stream);
    const refused = programs > change.refusals.programs ? 'a program failed' : undefined;
    switch (cause) {
      case 'check':
        // Two failures in a row is the least that its checks ask for.
        return checks >= change.refusals.checks + 2 ? 'its checks failed' : undefined;
      case 'person':
        return since(this.askedAt.get(change.stream)) ? 'a person undid it' : undefined;
      case 'command':
        return this.commanded(change, code);
      case 'switch':
        return failing ?? refused;
      case 'deadline':
        return failing ?? this.outlasted(change, now);
      case 'boot':
        return this.atBoot(change, code) ?? failing ?? (code === 'NOT_LIVE' ? refused : undefined);
      case 'uplink':
        return undefined;
    }
  }

  private atBoot({ cutShort, starts, stream, switchedAt }: Change, code: string): string | undefined {
    if (code === 'CRASH_IN_SWITCH') return cutShort ? 'killed in its switch' : undefined;
    if (code === 'RESTARTS') return starts >= 3 ? 'three restarts' : undefined;
    return (this.rottenAt.get(stream) ?? -Infinity) >= switchedAt ? 'its files rotted' : undefined;
  }

  /** The agent was not there for a part of the watch; over a reboot only the wall clock tells how long. */
  private outlasted({ starts, rebooted, switchedAt, within }: Change, now: number): string | undefined {
    if (starts === 0) return undefined;
    if (now - switchedAt >= within - GRACE_MS) return 'an outage until its deadline';
    return rebooted && this.clockSetAt >= switchedAt ? 'a clock that was set, and a reboot' : undefined;
  }

  private commanded({ commandId, stream, digest }: Change, code: string): string | undefined {
    const orders = this.facts.orders().filter((one) => one.stream === stream);
    const own = orders.find(({ id }) => id === commandId);
    const above = orders.filter((one) => own !== undefined && isAbove(one, own));
    if (code === 'COMMANDED' && above.some((one) => one.verb === 'revert' && one.digest === digest))
      return 'the centre undid it';
    return code === 'SUPERSEDED' && above.some(({ verb }) => verb === 'converge') ? 'superseded' : undefined;
  }
}

function isAbove(one: Command, other: Command): boolean {
  return one.generation > other.generation || (one.generation === other.generation && one.try > other.try);
}
