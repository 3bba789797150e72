/** The verbs of a rollout, as update and as signal of the same name (design §4 "Verbs"). */
import { ApplicationFailure } from '@temporalio/common';
import { log, setHandler } from '@temporalio/workflow';
import { ROLLOUT_VERBS, type RolloutVerb, type VerbAnswer, type VerbPayload } from '../policies/model/rollout.js';
import { readVerbPayload } from '../policies/rollout/verbs.js';
import {
  lateNewsSignal,
  siteOutcomesSignal,
  statusQuery,
  VERB_DESCRIPTIONS,
  verbSignals,
  verbUpdates,
} from './messages.js';
import { failingStages, note, statusOf, takeNews, type RolloutRun } from './rollout-run.js';

export function handleMessages(run: RolloutRun): void {
  for (const verb of ROLLOUT_VERBS) handleVerb(run, verb);
  setHandler(statusQuery, () => statusOf(run, Date.now()), { description: 'What the rollout is doing and why.' });
  // Handlers of signals never throw: one TypeError there was measured to jam a rollout, abort included.
  setHandler(siteOutcomesSignal, (news) => heed(run, 'siteOutcomes', news));
  setHandler(lateNewsSignal, (news) => heed(run, 'lateNews', news));
}

function handleVerb(run: RolloutRun, verb: RolloutVerb): void {
  const description = VERB_DESCRIPTIONS[verb];
  setHandler(verbUpdates[verb], (input) => answerUpdate(run, verb, input), {
    description,
    validator: (input) => {
      const read = readVerbPayload(input);
      if ('refused' in read) throw ApplicationFailure.nonRetryable(read.refused, 'BAD_PAYLOAD');
      const refusal = refusalOf(run, verb, read.payload);
      if (refusal) throw ApplicationFailure.nonRetryable(refusal, 'REFUSED');
    },
  });
  setHandler(verbSignals[verb], (input) => safely(run, verb, () => takeSignal(run, verb, input)), { description });
}

function answerUpdate(run: RolloutRun, verb: RolloutVerb, input: unknown): VerbAnswer {
  const read = readVerbPayload(input);
  if ('refused' in read) return { accepted: false, message: read.refused };
  return { accepted: true, message: obey(run, verb, read.payload) };
}

function takeSignal(run: RolloutRun, verb: RolloutVerb, input: unknown): void {
  const read = readVerbPayload(input);
  const refused = 'refused' in read ? read.refused : refusalOf(run, verb, read.payload);
  if (refused !== undefined) return note(run, 'signal-ignored', { verb, code: 'BAD_PAYLOAD', why: refused });
  if ('payload' in read) obey(run, verb, read.payload);
}

/** Why the verb cannot be obeyed now, or undefined. */
function refusalOf(run: RolloutRun, verb: RolloutVerb, payload: VerbPayload): string | undefined {
  if (run.state === 'sealed') return `the rollout is sealed (${run.outcome ?? 'ended'}); start a new one`;
  switch (verb) {
    case 'pause':
      if (run.stop || run.state === 'reverting') return 'the rollout is being undone: an undo does not pause';
      return run.paused ? 'the rollout is already paused' : undefined;
    case 'resume':
      return run.paused ? undefined : 'the rollout is not paused';
    case 'promote':
      if (!run.wait) return 'nothing waits to be promoted';
      if (run.wait.reason.code === 'NO_CONFIRMED_SITE') {
        return 'a cohort with no confirmed site never promotes; wait until a site confirms, or abort';
      }
      if ((run.outcome === 'halted' || failingStages(run).length > 0) && !payload.override) {
        return `${run.wait.reason.code}: promoting against a failure needs "override": true`;
      }
      return undefined;
    case 'abort':
      return run.state === 'reverting' ? 'the rollout is already being undone' : undefined;
    case 'revert':
      return run.stop?.verb === 'revert' ? 'the rollout is already being reverted' : undefined;
  }
}

function obey(run: RolloutRun, verb: RolloutVerb, payload: VerbPayload): string {
  note(run, 'verb', { verb, ...payload });
  switch (verb) {
    case 'pause':
      run.paused = true;
      run.pausedSince = Date.now();
      tellShards(run, 'hold');
      return 'no new command and no promotion until resume; sites in flight settle';
    case 'resume':
      run.paused = false;
      run.pausedMs += Date.now() - run.pausedSince;
      tellShards(run, 'goOn');
      return 'the rollout goes on';
    case 'promote':
      run.ticket = payload;
      return 'the wait ends and the rollout goes on';
    case 'abort':
      run.stop = { verb, ...payload };
      return 'no further site is commanded; those commanded and not confirmed are reverted';
    case 'revert':
      run.stop = { verb, ...payload };
      return 'no further site is commanded; every commanded site is reverted';
  }
}

function heed(run: RolloutRun, signal: string, news: unknown): void {
  safely(run, signal, () => {
    const refused = takeNews(run, news);
    if (refused !== undefined) note(run, 'signal-ignored', { verb: signal, code: 'BAD_PAYLOAD', why: refused });
  });
}

function tellShards(run: RolloutRun, what: 'hold' | 'goOn'): void {
  for (const shard of run.shards.values()) {
    if (!shard.closed)
      shard.tell(what).catch((error: unknown) => log.info('a shard has closed', { error: String(error) }));
  }
}

function safely(run: RolloutRun, message: string, handle: () => void): void {
  try {
    handle();
  } catch (error) {
    note(run, 'signal-ignored', { verb: message, code: 'BAD_PAYLOAD', why: String(error) });
  }
}
