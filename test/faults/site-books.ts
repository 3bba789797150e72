/**
 * What a simulated site knows and keeps: releases, commands with their results, and two journals. `events` is the one
 * that it reports, linked like a real agent's; `log` is for the judge alone and never leaves the site.
 */
import type { Cause, Command, Result, ResultWord, SiteState } from '../../policies/model/command.js';
import type { SiteEvent, SiteEventKind, SiteReport } from '../../policies/model/report.js';
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
  generation = 0;
  try = 0;
  commandId: string | undefined;
  queuedId: string | undefined;
  trial: Trial | undefined;
  readonly commands = new Map<string, KnownCommand>();
  readonly quarantine: SiteReport['quarantined'] = [];
  readonly events: SiteEvent[] = [];
  readonly log: SiteEntry[] = [];
  ackedThrough = 0;
  private readonly listeners = new Set<(event: SiteEvent) => void>();

  constructor(
    readonly site: string,
    readonly stream: string,
    /** Newest first; the last of them are what an undo may go back to. */
    public confirmed: Held[],
  ) {}

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
        epoch: 1,
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
    const { live } = this;
    const lkg = this.confirmed[live === this.confirmed[0] ? 1 : 0];
    const pending = this.underWay()?.command;
    return {
      site: this.site,
      at: Date.now(),
      epoch: 1,
      sequence: this.events.length,
      agentVersion: '0.1.0',
      streams: {
        [this.stream]: {
          state: this.state,
          ...(live ? { live } : {}),
          ...(lkg ? { lkg } : {}),
          ...(pending?.verb === 'converge'
            ? { pending: { version: pending.releaseVersion, digest: pending.digest } }
            : {}),
          generation: this.generation,
          try: this.try,
          checks: [],
        },
      },
      versions: {},
      quarantined: [...this.quarantine],
    };
  }
}

/** Results do not nest. */
function withoutPrevious({ previous: _, ...result }: Result): Result {
  return result;
}
