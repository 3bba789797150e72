/**
 * People at the site: they hold it, and change files of what is live. What must hold of that: nothing new is switched under
 * a hold, and nothing is put back under one, nor anything that no release says is to be put back.
 */
import { dirname, join } from 'node:path';
import type { SiteEvent } from '../../../policies/model/report.js';
import type { Agent } from '../../../site/agent.js';
import { realFs } from './disk.js';
import type { Sight } from './invariants.js';
import type { Drifting } from './plan.js';
import { hasDirectory, type World } from './world.js';

interface Hold {
  /** Empty: every stream. */
  stream: string;
  /** Ms of a clock that nobody can set; Infinity: until a person lifts it. */
  until: number;
}

interface Drift {
  stream: string;
  path: string;
  /** The release says that it is put back. */
  repaired: boolean;
  at: number;
}

const PATHS: Record<Drifting, string> = { beside: 'by-hand', 'in more': 'more/by-hand', filler: 'more/filler' };
/** Two looks for drift, and the undo or repair that keeps a third from coming at once. */
export const DRIFT_EVERY_MS = 30_000;
const REPAIRED_WITHIN_MS = 4 * DRIFT_EVERY_MS;

export class People {
  /** How often something was put back, and how often a hold was in force as an order came. */
  readonly counts = { holds: 0, drifts: 0, repaired: 0 };
  private holds: Hold[] = [];
  private drifts: Drift[] = [];

  constructor(
    private readonly world: World,
    private readonly repairs: boolean,
    private readonly say: (invariant: string, detail: string) => void,
  ) {}

  /** Throws what the agent throws: then nobody knows whether it holds. */
  hold(agent: Agent, now: number, { stream = '', ms, ends }: { stream?: string; ms: number; ends: string }): void {
    this.forget(stream);
    const lasts = ends === 'by time' ? { lasts: ms } : {};
    agent.hold({ by: 'kari', reason: 'at work', ...(stream === '' ? {} : { stream }), ...lasts });
    this.holds.push({ stream, until: ends === 'by time' ? now + ms : Infinity });
    this.counts.holds += 1;
  }

  unhold(agent: Agent, stream: string): void {
    this.forget(stream);
    agent.unhold({ by: 'kari', reason: 'done', ...(stream === '' ? {} : { stream }) });
  }

  private forget(stream: string): void {
    this.holds = this.holds.filter((one) => one.stream !== stream);
  }

  /** Undefined: there is nothing to change, or the wrong thing. */
  drift(stream: string, what: Drifting, now: number): string | undefined {
    const of = this.world.streams.get(stream);
    const path = join(this.world.target(stream), PATHS[what]);
    if (!of || !hasDirectory(of.shape) || !realFs.existsSync(dirname(path))) return undefined;
    realFs.writeFileSync(path, `by hand at ${now}`);
    this.world.touched();
    this.counts.drifts += 1;
    const repaired = this.repairs && what !== 'beside';
    this.drifts.push({ stream, path, repaired, at: now });
    return path;
  }

  /** A clock that comes back ahead from a reboot may end a hold early (docs/decisions/0006). */
  rebootedWithAnotherClock(): void {
    this.holds = this.holds.filter(({ until }) => until === Infinity);
  }
  restored(): void {
    [this.holds, this.drifts] = [[], []];
  }

  see({ at, books, switching }: Sight): void {
    for (const event of books.fresh) {
      const stream = event.stream ?? '';
      if (event.kind === 'switching' && switching)
        this.demandUnheld(stream, at, 'nothing new is switched under a hold');
      if (event.kind === 'repaired') this.judgeRepair(event, at);
      // What is live now is another directory; what was written into one that was copied already lies beside it, and is told.
      if (['adopted', 'moved-aside', 'switching', 'reverting', 'reverted'].includes(event.kind)) this.moved(stream);
    }
  }

  private demandUnheld(stream: string, at: number, invariant: string): void {
    const hold = this.holds.find((one) => (one.stream === '' || one.stream === stream) && at < one.until);
    if (hold) this.say(invariant, `${stream}, held for ${Math.round(hold.until - at)} ms more`);
  }

  private judgeRepair(event: SiteEvent, at: number): void {
    const stream = event.stream ?? '';
    this.counts.repaired += 1;
    this.demandUnheld(stream, at, 'nothing is put back under a hold');
    const { paths } = event.detail as { paths: { path: string }[] };
    const other = paths.find(({ path }) => !path.startsWith('more/'));
    if (!this.repairs || other) this.say('only what the release says is put back', `${stream} ${other?.path ?? ''}`);
    const gone = this.drifts.find((one) => one.stream === stream && !one.repaired && !realFs.existsSync(one.path));
    if (gone) this.say('only what the release says is put back', `${gone.path} is gone`);
    this.drifts = this.drifts.filter((one) => one.stream !== stream || !one.repaired);
  }

  private moved(stream: string): void {
    this.drifts = this.drifts.filter((one) => one.stream !== stream);
  }

  /** `isQuiet`: nothing keeps the agent from putting back what drifted there. */
  end(sight: Sight, isQuiet: (stream: string) => boolean): void {
    for (const { stream, path, repaired, at } of this.drifts) {
      const there = realFs.existsSync(path);
      if (!repaired && !there) this.say('only what the release says is put back', `${path} is gone`);
      const held = this.holds.some((one) => (one.stream === '' || one.stream === stream) && sight.at < one.until);
      if (!repaired || !there || held || sight.at - at < REPAIRED_WITHIN_MS || !isQuiet(stream)) continue;
      this.say('what the release says is put back', `${path} is as somebody left it`);
    }
  }
}
