/**
 * What must hold at a site at every instant, judged from what is committed in its database, what is really live, and what
 * the harness did to it. Pure: `Judge` compares one sight with those before it.
 */
import type { Result } from '../../../policies/model/command.js';
import type { SiteEvent } from '../../../policies/model/report.js';
import { judgeSiteEvents } from '../../../policies/signing/chain.js';
import { isAtRest } from '../../../policies/site/transitions.js';
import type { Well } from './good-changes.js';
import type { CommandRow, HeldRow, StreamRow } from '../../../site/store/rows.js';
import { TimeOnWatch, type TimeRules } from './time-on-watch.js';

/** One look at the site. Times in ms of a clock that nobody can set. */
export interface Sight {
  at: number;
  books: Books;
  /** By stream: every version that one of its parts shows. `?…` is what no release holds. */
  live: Record<string, string[]>;
  /** A fault of the disk or of the site's programs is on, or was a moment ago: books and site may differ for that long. */
  trouble: boolean;
  /** When the machine was started last. */
  bootedAt: number;
  /** Since when the process runs; undefined while it starts. */
  upSince: number | undefined;
  /** The instant of the durable switch. */
  switching: boolean;
}

export interface Books {
  streams: StreamRow[];
  held: HeldRow[];
  commands: CommandRow[];
  quarantine: { stream: string; digest: string }[];
  conversions: number;
  facts: Record<string, string>;
  /** Of the journal, what came since the last sight. */
  fresh: SiteEvent[];
}

/** What the harness knows of a release. */
export interface Known {
  stream: string;
  version: string;
  bad: boolean;
  /** Its checks pass as long as it is what is live. */
  well?: Well;
}

export interface Rules extends TimeRules {
  /** By digest. */
  releases: Map<string, Known>;
}

export interface Violation {
  invariant: string;
  detail: string;
}

export class Judge {
  readonly violations: Violation[] = [];
  private readonly seen = new Set<string>();
  private putBack = false;
  private before: Sight | undefined;
  private head: { epoch: number; sequence: number; hash: string } | undefined;
  private readonly results = new Map<string, string>();
  private readonly switches = new Set<string>();
  private readonly rotten = new Set<string>();
  private readonly unknown = new Set<string>();
  private readonly unknownUntilUp = new Set<string>();
  /** Ms that each stream has been watched in this boot while the agent ran. */
  private readonly watched = new Map<string, { trial: string; ms: number }>();
  private readonly onWatch: TimeOnWatch;

  constructor(private readonly rules: Rules) {
    this.onWatch = new TimeOnWatch(rules);
  }

  /** An older data directory was put back: what was known of this one says nothing of it. */
  restored(streams: string[]): void {
    this.putBack = true;
    for (const stream of streams) this.rotten.add(stream);
    this.before = undefined;
    this.head = undefined;
    this.results.clear();
    this.switches.clear();
    this.unknown.clear();
    this.onWatch.forget();
  }

  know(digest: string, release: Known): void {
    this.rules.releases.set(digest, release);
  }

  /** What is live was damaged behind the agent's back; what it makes live from now on must be whole all the same. */
  damaged(stream: string): void {
    this.rotten.add(stream);
  }

  isDoubtful(stream: string): boolean {
    return this.putBack || this.rotten.has(stream) || this.unknown.has(stream);
  }

  /** Nobody can know what the books should say is live, until something is confirmed. */
  unsure(stream: string): void {
    this.unknown.add(stream);
  }

  /** An undo that no disk took is in no books until the next start has found it. */
  unsureUntilUp(stream: string): void {
    this.unknownUntilUp.add(stream);
  }

  see(sight: Sight): void {
    if (sight.upSince !== undefined) this.unknownUntilUp.clear();
    // The reader gives the same lists again where nothing was written: they are judged once.
    const isNews = sight.books.streams !== this.before?.books.streams;
    if (isNews) {
      this.judgeJournal(sight);
      this.judgeCounters(sight);
      this.judgeResults(sight);
    }
    for (const row of sight.books.streams) {
      if (isNews) this.judgeTrial(sight, row);
      this.judgeLive(sight, row);
      this.judgeDeadline(sight, row);
      const tooLong = this.onWatch.see(sight, row);
      if (tooLong !== undefined) this.say('no reboot gives a trial more time', tooLong);
    }
    this.before = sight;
  }

  say(invariant: string, detail: string): void {
    const key = `${invariant}\n${detail}`;
    if (this.seen.has(key)) return;
    this.seen.add(key);
    this.violations.push({ invariant, detail });
  }

  private judgeJournal({ books, switching }: Sight): void {
    const judged = judgeSiteEvents(books.fresh, this.head);
    if (!judged.ok) this.say('the journal has no gap and its chain holds', judged.reason);
    const last = books.fresh.at(-1);
    if (last) this.head = { epoch: last.epoch, sequence: last.sequence, hash: last.hash };
    for (const event of books.fresh) {
      const activates = event.kind === 'switching' || event.kind === 'reverting';
      // The first sight of a journal tells of what was long ago.
      if (activates && this.before) this.rotten.delete(event.stream ?? '');
      if (event.kind === 'switching') this.judgeSwitch(books, event, switching);
      if (event.kind === 'confirmed') this.unknown.delete(event.stream ?? '');
      if (event.kind === 'confirmed') this.judgeConfirmed(books, event);
    }
  }

  private judgeSwitch(books: Books, event: SiteEvent, now: boolean): void {
    const { commandId = '', stream = '' } = event;
    const which = `${commandId} of ${stream}`;
    if (this.switches.has(commandId)) this.say('a command switches once', which);
    this.switches.add(commandId);
    const row = books.commands.find(({ command }) => command.id === commandId);
    if (!row) return this.say('nothing is switched to without a command', which);
    const { digest, allowed } = row.command;
    // What came in after the switch has queued behind it, and an undo quarantines: only the instant itself tells.
    if (!now) return;
    const quarantined = books.quarantine.some((one) => one.stream === stream && one.digest === digest);
    if (quarantined && !allowed) this.say('what is quarantined is not switched to', which);
    if (row.result) this.say('what has ended is not switched to', `${which}: ${row.result.result}`);
    const queued = books.streams.find((one) => one.stream === stream)?.queuedId;
    if (queued !== undefined) this.say('what is superseded is not switched to', `${which}: ${queued} waits`);
  }

  private judgeConfirmed(books: Books, event: SiteEvent): void {
    const digest = books.commands.find(({ command }) => command.id === event.commandId)?.command.digest ?? '';
    const known = this.rules.releases.get(digest);
    if (known?.bad === true) this.say('a bad release is never confirmed', `${known.stream} ${known.version}`);
  }

  private judgeCounters({ books }: Sight): void {
    const old = this.before?.books;
    if (!old) return;
    for (const row of books.streams) {
      const was = old.streams.find((one) => one.stream === row.stream);
      if (was && (row.generation < was.generation || (row.generation === was.generation && row.try < was.try))) {
        this.say('no counter goes back', `(generation, try) of ${row.stream}`);
      }
    }
    for (const fact of ['epoch', 'timeFloor', 'ackedThrough', 'keysetVersion']) {
      if (Number(books.facts[fact] ?? 0) < Number(old.facts[fact] ?? 0)) this.say('no counter goes back', fact);
    }
    if (old.streams.some((was) => !books.streams.some((one) => one.stream === was.stream))) {
      this.say('no counter goes back', 'a stream is gone from the books');
    }
  }

  private judgeResults({ books }: Sight): void {
    for (const { command, result } of books.commands) {
      this.judgeResult(command.id, result);
    }
    for (const id of this.results.keys()) {
      if (!books.commands.some(({ command }) => command.id === id))
        this.say('a result is final for its id', `${id} is gone`);
    }
  }

  private judgeResult(id: string, result: Result | undefined): void {
    const was = this.results.get(id);
    if (result === undefined) {
      if (was !== undefined) this.say('a result is final for its id', `${id} has none any more`);
      return;
    }
    const is = JSON.stringify(result);
    if (was !== undefined && was !== is) this.say('a result is final for its id', `${id}: ${was} became ${is}`);
    this.results.set(id, is);
  }

  private judgeTrial({ books }: Sight, row: StreamRow): void {
    const { trial, state, stream } = row;
    if (!['switching', 'watching', 'reverting'].includes(state)) return;
    const which = `${stream} is ${state}`;
    if (!trial) return this.say('what is pending has a deadline and a last-known-good', `${which} without a trial`);
    const held = books.held.find((one) => one.id === trial.releaseId);
    if (!held) return this.say('what is pending has a deadline and a last-known-good', `${which}: not on the books`);
    const deadline = trial.within > 0 && trial.switchedElapsed >= 0 && trial.bootId !== '';
    if (state !== 'reverting' && !deadline) {
      this.say('what is pending has a deadline and a last-known-good', `${which} without a deadline`);
    }
    const lkg = books.held.find((one) => one.id === trial.lkgId);
    if (!lkg && !held.release.first) {
      this.say('what is pending has a deadline and a last-known-good', `${which} without a last-known-good`);
    }
    if (lkg && lkg.confirmedAt === undefined) this.say('only what was confirmed is gone back to', which);
  }

  private judgeLive({ books, live, trouble }: Sight, row: StreamRow): void {
    const { stream, state } = row;
    if (trouble || books.conversions > 0 || this.rotten.has(stream)) return;
    // What is watched the guard has asked for: it is in the books again once the process is up.
    if ((this.unknown.has(stream) && state !== 'watching') || this.unknownUntilUp.has(stream)) return;
    const expected = this.expectedLive(books, row);
    if (expected === undefined) return;
    const shown = live[stream] ?? [];
    if (shown.length !== 1) this.say('one release is live', `${stream} is ${state} and shows ${shown.join(' and ')}`);
    else if (shown[0] !== expected) {
      const detail = `${stream} is ${state}, the books say ${expected}, ${shown[0]} is live`;
      this.say('what the books say is live, whole', detail);
    }
  }

  /** Undefined: anything may be live, or nobody can say. */
  private expectedLive(books: Books, { stream, state, trial }: StreamRow): string | undefined {
    if (state === 'watching') return books.held.find((one) => one.id === trial?.releaseId)?.version;
    const settled = isAtRest(state) || state === 'accepted' || state === 'staged';
    if (!settled || state === 'safe-mode' || trial) return undefined;
    const confirmed = books.held.find((one) => one.stream === stream && one.confirmedAt !== undefined);
    // What an older data directory finds and adopts is no original any more.
    if (!confirmed || (confirmed.adopted && this.putBack)) return undefined;
    return confirmed.adopted ? 'original' : confirmed.version;
  }

  private judgeDeadline(sight: Sight, row: StreamRow): void {
    const { trial, stream, state } = row;
    const { at, bootedAt, upSince } = sight;
    if (state !== 'watching' || !trial || upSince === undefined) return void this.watched.delete(stream);
    // Of one boot: what may be forgotten over a reboot is for `onWatch` to say.
    const name = `${trial.releaseId} ${trial.commandId ?? ''} ${bootedAt}`;
    const known = this.watched.get(stream);
    const sofar = known?.trial === name ? known.ms : 0;
    const since = Math.max(upSince, this.before?.at ?? upSince);
    const ms = sofar + Math.max(0, at - since);
    this.watched.set(stream, { trial: name, ms });
    // With a disk that fails, an undo comes before its journal.
    if (ms > trial.within + this.rules.slackMs && !sight.trouble) {
      const detail = `${stream} is watching for ${Math.round(ms)} ms, ${trial.within} ms were allowed`;
      this.say('what is not confirmed in time is undone in time', detail);
    }
  }

  /** After the faults have ended and time enough: nothing is under way, and nothing bad is live. */
  end(sight: Sight, excused: ReadonlySet<string>): void {
    this.see({ ...sight, trouble: false });
    for (const row of sight.books.streams) {
      if (!isAtRest(row.state)) this.say('every stream comes to rest', `${row.stream} is ${row.state}`);
      if (row.queuedId !== undefined) this.say('every stream comes to rest', `${row.queuedId} waits`);
      // A stranded trial stays on the books through later commands that are refused.
      const stranded = row.state === 'safe-mode' || row.trial !== undefined;
      if (stranded && !excused.has(row.stream)) {
        this.say('safe mode only with nothing verified to go back to', row.stream);
      }
      if (stranded || this.putBack || this.rotten.has(row.stream)) continue;
      const bad = [...this.rules.releases.values()].filter((one) => one.stream === row.stream && one.bad);
      for (const shown of sight.live[row.stream] ?? []) {
        if (bad.some((one) => one.version === shown))
          this.say('nothing bad stays live', `${row.stream} shows ${shown}`);
      }
    }
    for (const { command, result } of sight.books.commands) {
      if (result === undefined) this.say('every command has a result', command.id);
    }
  }
}
