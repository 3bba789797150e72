/**
 * Moves on the marks of all that counts time at this site, so that a reboot forgets little of it (design §5 rule 5): a trial, an undo
 * that is to be made again, commands that wait, and what is confirmed and still watched. Holds have theirs moved in holds.ts.
 */
import { switchOf } from '../policies/site/decide-boot.js';
import { acceptanceOf, lifetimeOf } from '../policies/site/decide-command.js';
import { isMarkDue, MARK_LEAST_MS, MARK_OTHERS_MS, MARK_TRIAL_MS } from '../policies/site/decide-mark.js';
import { pauseBeforeUndoAgain } from '../policies/site/decide-undo-again.js';
import { marked, type Mark } from '../policies/site/elapsed.js';
import { messageOf } from './advance.js';
import { momentOf } from './clock.js';
import type { SiteContext } from './context.js';
import type { HeldRow, StreamRow } from './store/rows.js';
import { strandedOf } from './trial.js';
import { hasRequiredCheck } from './watching.js';

/** Something that counts time, and how its row is written with another mark. */
interface Counting {
  since: Mark;
  lasts: number;
  /** The longest that its mark may stay. */
  every: number;
  put: (mark: Mark) => void;
}

/** The first time at once. Returns how to stop: then all are moved, so that an orderly reboot costs nothing. */
export function tendMarks(context: SiteContext, lookEveryMs = MARK_LEAST_MS): () => Promise<void> {
  let failing = false;
  let timer: NodeJS.Timeout | undefined;
  const move = (at: 'due' | 'end') => {
    try {
      moveMarks(context, at);
      failing = false;
    } catch (error) {
      // A disk that cannot be written costs what a reboot would forget, and nothing else. Told once: it may stay so for long.
      if (!failing) context.log.warn({ error: messageOf(error) }, 'the time that has passed could not be kept');
      failing = true;
    }
  };
  const look = () => {
    move('due');
    timer = setTimeout(look, lookEveryMs);
    timer.unref();
  };
  look();
  return async () => {
    clearTimeout(timer);
    move('end');
  };
}

function moveMarks(context: SiteContext, which: 'due' | 'end'): void {
  const { clock, store } = context;
  const at = momentOf(clock);
  const due = counting(context).filter(({ since, lasts, every }) =>
    isMarkDue(since, at, { lasts, every: which === 'end' ? 0 : every }),
  );
  if (due.length === 0) return;
  store.transactSpare(() => {
    for (const { since, put } of due) put(marked(since, at));
  });
}

function counting(context: SiteContext): Counting[] {
  const { store } = context;
  return [
    ...store.streams().flatMap((row) => [...trialTimes(context, row), ...commandTimes(context, row)]),
    ...store.allHeld().flatMap((held) => confirmedTimes(context, held)),
  ];
}

function trialTimes({ store }: SiteContext, row: StreamRow): Counting[] {
  const { state, trial } = row;
  if (!trial) return [];
  if (state === 'watching') {
    const put = (mark: Mark) => store.putStream({ ...row, trial: { ...trial, mark } });
    return [{ since: switchOf(trial), lasts: trial.within, every: MARK_TRIAL_MS, put }];
  }
  const stranded = strandedOf(row);
  const lasts = stranded && pauseBeforeUndoAgain(stranded);
  if (!stranded || lasts === undefined) return [];
  const put = (at: Mark) => store.putStream({ ...row, trial: { ...trial, stranded: { ...stranded, at } } });
  return [{ since: stranded.at, lasts, every: MARK_OTHERS_MS, put }];
}

/** From its switch on a command has no time of its own any more. */
function commandTimes({ store }: SiteContext, { state, commandId, queuedId }: StreamRow): Counting[] {
  const waiting = [state === 'accepted' || state === 'staged' ? commandId : undefined, queuedId];
  return waiting.flatMap((id) => {
    const row = id === undefined ? undefined : store.command(id);
    const lasts = row && lifetimeOf(row.command);
    if (!row || row.result || lasts === undefined) return [];
    const put = (mark: Mark) => store.putCommand({ ...row, mark });
    return [{ since: acceptanceOf(row), lasts, every: MARK_OTHERS_MS, put }];
  });
}

/** Not only what is live: an undo makes the one before it live again, and then it is watched for the rest of its time. */
function confirmedTimes({ store }: SiteContext, held: HeldRow): Counting[] {
  const { confirmed, release } = held;
  if (!confirmed || !hasRequiredCheck(held)) return [];
  const put = (mark: Mark) => store.putHeld({ ...held, confirmed: mark });
  return [{ since: confirmed, lasts: release.watchFor, every: MARK_OTHERS_MS, put }];
}
