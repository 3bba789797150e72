/** Runs at every start before any connection is tried: puts right what a crash, a kill or a power cut left half done. */
import { decideAtBoot, switchOf } from '../policies/site/decide-boot.js';
import { elapsedSince, marked, type Moment } from '../policies/site/elapsed.js';
import { messageOf } from './advance.js';
import { momentOf } from './clock.js';
import type { SiteContext } from './context.js';
import { clearAside, finishConversions } from './conversions.js';
import { pauseFor } from './pause.js';
import { revertAtBoot, strandStream } from './revert.js';
import type { HeldRow, StreamRow, Trial } from './store/rows.js';
import { probeLinksLive } from './task.js';
import { isUndoneUnbooked } from './unbooked.js';
import { noLongerLive } from './watching.js';

/**
 * What becomes of a release that is found watched, within its deadline and its restarts. `askUntil`: elapsed ms, from when on no
 * program is waited for.
 */
export type FoundWatched = (context: SiteContext, row: StreamRow, trial: Trial, askUntil: number) => Promise<void>;

/** For the programs of all streams together: no stream is watched, and nothing connected, before the guard has ended. */
const ASKS_FOR_MS = 5_000;

/** Afterwards every stream is at rest, or where its runner can carry on. */
export async function guardAtBoot(context: SiteContext, onWatched: FoundWatched = resumeWatch): Promise<void> {
  const { clock, store } = context;
  try {
    finishConversions(context);
  } catch (error) {
    // The streams still have to be guarded; whoever converges next meets the same fault and says so.
    context.log.error({ error: messageOf(error) }, 'a target could not be made a symlink');
  }
  try {
    store.transact(() => store.append({ kind: 'started', detail: { bootId: clock.bootId() } }));
  } catch (error) {
    context.log.error({ error: messageOf(error) }, 'the start could not be journaled; guarding all the same');
  }
  const failures: unknown[] = [];
  // A disk that fails for one stream must not come between another and its undo: thrown once all are guarded.
  const attempt = async (work: () => Promise<void>) => {
    try {
      await work();
    } catch (error) {
      failures.push(error);
      context.log.error({ error: messageOf(error) }, 'the guard could not do all at this start');
    }
  };
  // One after another: two undos at once could want the same program.
  const { rows, askUntil } = inOrder(store.streams(), momentOf(clock));
  const watched: Resume = (...of) => onWatched(...of, askUntil);
  for (const row of rows) await attempt(async () => guardStream(context, row, watched));
  await clearAside(context).catch((error: unknown) => {
    context.log.error({ error: messageOf(error) }, 'what was moved aside could not be looked through');
  });
  if (failures.length > 0) throw failures[0];
}

/**
 * What only goes on being watched comes last, so that no undo waits for its programs; and those have so long to answer, all together, that
 * no deadline passes meanwhile.
 */
function inOrder(streams: StreamRow[], at: Moment): { rows: StreamRow[]; askUntil: number } {
  const resumes = ({ state, trial }: StreamRow) =>
    state === 'watching' && trial !== undefined && decideAtBoot(state, trial, at).kind === 'resume-watch';
  const watched = streams.filter(resumes);
  const lefts = watched.flatMap(({ trial }) => (trial ? [trial.within - elapsedSince(switchOf(trial), at)] : []));
  const others = streams.filter((row) => !watched.includes(row));
  return { rows: [...others, ...watched], askUntil: at.elapsed + Math.min(ASKS_FOR_MS, ...lefts) };
}

type Resume = (context: SiteContext, row: StreamRow, trial: Trial) => Promise<void>;

async function guardStream(context: SiteContext, row: StreamRow, onWatched: Resume): Promise<void> {
  const { clock } = context;
  const { stream, trial } = row;
  const decision = decideAtBoot(row.state, trial, momentOf(clock));
  if (decision.kind === 'carry-on' || !trial) return;
  context.log.info({ stream, state: row.state, decision: decision.kind }, 'found unfinished at start');
  switch (decision.kind) {
    case 'resume-watch':
      return onWatched(context, row, trial);
    case 'undo': {
      const { cause, reason } = decision;
      return revertAtBoot(context, stream, { trial, undo: { cause, reason, begunAt: clock.now() } });
    }
    case 'finish-undo':
      if (trial.undo) return revertAtBoot(context, stream, { trial, undo: trial.undo });
      return strandStream(context, stream, trial, { code: 'REVERT_FAILED', detail: 'the store does not say why' });
    case 'give-up':
      return strandStream(context, stream, trial, decision.reason);
  }
}

/**
 * An undo that a disk did not let be written down leaves books that know nothing of it. Links say at once what is live. Programs
 * may just be starting, as the machine is: that one of them denies the release undoes nothing, unless it says that what was before
 * is live. One that does not answer in time changes nothing: the checks and the deadline are there.
 */
async function resumeWatch(context: SiteContext, row: StreamRow, trial: Trial, askUntil: number): Promise<void> {
  const held = context.store.held(trial.releaseId);
  const isLive =
    held === undefined || ((await probeLinksLive(context, held)) && !(await isPartlyUndone(context, held, askUntil)));
  if (isLive) return countRestart(context, row, trial);
  return revertAtBoot(context, row.stream, { trial, undo: noLongerLive(context, held) });
}

async function isPartlyUndone(context: SiteContext, held: HeldRow, askUntil: number): Promise<boolean> {
  const left = askUntil - context.clock.elapsed();
  if (left <= 0) return false;
  const answered = new AbortController();
  const late = pauseFor(left, answered.signal).then(() => false);
  return Promise.race([isUndoneUnbooked(context, held, true), late]).finally(() => answered.abort());
}

/**
 * Durable before the watch goes on: else a crash loop would never count. A disk that does not take it ends no watch: a
 * process that stopped for it would leave the release unwatched until its deadline, and then come back to the same disk.
 */
function countRestart({ clock, log, storage, store }: SiteContext, row: StreamRow, trial: Trial): void {
  const counted = { ...trial, mark: marked(switchOf(trial), momentOf(clock)), restarts: trial.restarts + 1 };
  try {
    store.transact(() => store.putStream({ ...row, trial: counted }));
  } catch (error) {
    storage.note(error, `stream ${row.stream}, a restart`);
    log.error({ stream: row.stream, error: messageOf(error) }, 'a restart could not be counted; watching all the same');
  }
}
