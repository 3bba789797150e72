/**
 * What a simulated site knows and keeps: releases, commands with their results, and two journals. `events` is the one
 * that it reports, linked like a real agent's; `log` is for the judge alone and never leaves the site.
 */
import { FIRST_EPOCH } from '../../policies/model/enrolment.js';
import type { Cause, Command, Result, ResultWord, SiteState } from '../../policies/model/command.js';
import type { SiteEvent, SiteEventKind, SiteReport, StreamReport } from '../../policies/model/report.js';
import type { Reason } from '../../policies/model/verdict.js';
import { linkSiteEvent } from '../../policies/signing/chain.js';
import { nextState, type StreamEvent } from '../../policies/site/transitions.js';
import type { SiteEntry } from './facts.js';

export interface Held {
  version: string;
  digest: string;
  confirmedAt?: number;
}

export interface KnownCommand {
  command: Command;
  acceptedAt: number;
  result?: Result;
  /** What became of it after it had confirmed. */
  later?: Result;
}

export interface Trial {
  release: Held;
  commandId?: string;
  switchedAt: number;
}

export interface Words {
  result: ResultWord;
  changed: boolean;
  cause?: Cause;
  reason?: Reason;
  previous?: Result | undefined;
}

const KEPT = 3;

export class SiteBooks {
  state: SiteState = 'confirmed';
  epoch = FIRST_EPOCH;
  generation = 0;
  try = 0;
  commandId: string | undefined;
  queuedId: string | undefined;
  trial: Trial | undefined;
  readonly commands = new Map<string, KnownCommand>();
  readonly quarantine: SiteReport['quarantined'] = [];
  readonly events: SiteEvent[] = [];
  ackedThrough = 0;
  private readonly listeners = new Set<(event: SiteEvent) => void>();

  constructor(
    readonly site: string,
    readonly stream: string,
    /** Newest first; the last of them are what an undo may go back to. */
    public confirmed: Held[],
    /** A box that was put in the place of another goes on in its log: it is that of the place. */
    readonly log: SiteEntry[] = [],
  ) {
    if (confirmed.length === 0) this.state = 'idle';
  }

  /** From its durable switch on a release is live. */
  get live(): Held | undefined {
    const { trial } = this;
    const isLive = trial && !['switching', 'accepted', 'staged'].includes(this.state);
    return isLive ? trial.release : this.confirmed[0];
  }

  underWay(): KnownCommand | undefined {
    return this.commandId === undefined ? undefined : this.commands.get(this.commandId);
  }

  queued(): KnownCommand | undefined {
    return this.queuedId === undefined ? undefined : this.commands.get(this.queuedId);
  }

  advance(event: StreamEvent): void {
    this.state = nextState(this.state, event);
  }

  rest(): void {
    this.commandId = undefined;
    this.trial = undefined;
  }

  /** Puts a release that was confirmed on the books; those confirmed before it stay behind it. */
  confirm(release: Held): void {
    const kept = this.confirmed.filter((one) => one.digest !== release.digest);
    this.confirmed = [{ ...release, confirmedAt: Date.now() }, ...kept].slice(0, KEPT);
  }

  /** Where a command is: its own state, not that of a later one. */
  stateOf({ command, result }: KnownCommand): SiteState {
    if (!result) return this.commandId === command.id ? this.state : 'accepted';
    return result.result === 'superseded' ? this.state : result.result;
  }

  resultOf(command: Command, words: Words): Result {
    const { previous, ...plain } = words;
    const { live } = this;
    const repeated = previous && withoutPrevious(previous);
    return {
      commandId: command.id,
      site: this.site,
      stream: this.stream,
      verb: command.verb,
      generation: command.generation,
      try: command.try,
      at: Date.now(),
      ...plain,
      ...(live ? { live: { version: live.version, digest: live.digest } } : {}),
      ...(repeated ? { previous: repeated } : {}),
    };
  }

  /** What the site last did with the release: a revert repeats it. */
  latestConverge(digest: string): KnownCommand | undefined {
    const converges = [...this.commands.values()].filter(({ command }) => {
      return command.verb === 'converge' && command.digest === digest;
    });
    return converges.at(-1);
  }

  journal(kind: SiteEventKind, commandId: string | undefined, detail: Record<string, unknown>, result?: Result): void {
    if (result) this.keep(result);
    const last = this.events.at(-1);
    const event = linkSiteEvent(
      {
        site: this.site,
        epoch: this.epoch,
        at: Date.now(),
        kind,
        stream: this.stream,
        detail,
        ...(commandId === undefined ? {} : { commandId }),
        ...(result === undefined ? {} : { result }),
      },
      last,
    );
    this.events.push(event);
    for (const listener of [...this.listeners]) listener(event);
  }

  /** Which of them is asked about by a command that says what the centre has. */
  hashAt(sequence: number): string | undefined {
    return this.events[sequence - 1]?.hash;
  }

  lastWordOn(commandId: string | undefined): Result | undefined {
    const known = commandId === undefined ? undefined : this.commands.get(commandId);
    return known?.later ?? known?.result;
  }

  notLive(command: Command): Result {
    const known = this.latestConverge(command.digest);
    const reason = { code: 'NOT_LIVE', detail: `${command.releaseVersion} is not live here` } as const;
    const previous = known?.later ?? known?.result;
    return this.resultOf(command, { result: 'reverted', changed: false, cause: 'command', reason, previous });
  }

  endSuperseded({ command }: KnownCommand, newer: string): void {
    const reason = { code: 'SUPERSEDED', detail: `${newer} was accepted` } as const;
    const result = this.resultOf(command, { result: 'superseded', changed: false, reason });
    this.journal('superseded', command.id, {}, result);
  }

  logSwitch(from: Held | undefined, to: Held | undefined, commandId: string, why: string): void {
    const words = { from: from?.digest ?? 'nothing', to: to?.digest ?? 'nothing', commandId, why };
    this.log.push({ kind: 'switch', at: Date.now(), ...words });
  }

  onEvent(listener: (event: SiteEvent) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private keep(result: Result): void {
    const known = this.commands.get(result.commandId);
    if (!known) return;
    if (known.result) known.later = result;
    else known.result = result;
    this.log.push({ kind: 'result', at: result.at, result });
  }

  report(): SiteReport {
    const head = this.events.at(-1)?.hash;
    return {
      site: this.site,
      at: Date.now(),
      epoch: this.epoch,
      sequence: this.events.length,
      acked: this.ackedThrough,
      ...(head === undefined ? {} : { head }),
      agentVersion: '0.1.0',
      streams: this.isUntouched() ? {} : { [this.stream]: this.streamReport() },
      versions: {},
      quarantined: [...this.quarantine],
    };
  }

  /** A new box has no row of the stream before its first command. */
  private isUntouched(): boolean {
    return this.state === 'idle' && this.commands.size === 0;
  }

  private streamReport(): StreamReport {
    const { live } = this;
    const lkg = this.confirmed[live === this.confirmed[0] ? 1 : 0];
    const under = this.underWay()?.command;
    const pending = under?.verb === 'converge' && { version: under.releaseVersion, digest: under.digest };
    const { state, generation } = this;
    return {
      ...{ state, generation, try: this.try, checks: [] },
      ...(live && { live }),
      ...(lkg && { lkg }),
      ...(pending && { pending }),
    };
  }
}

/** Results do not nest. */
function withoutPrevious({ previous: _, ...result }: Result): Result {
  return result;
}
