/** The verbs of a rollout, as update and as signal of the same name (design §4 "Verbs"). */
import { ApplicationFailure } from '@temporalio/common';
import { condition, log, setHandler } from '@temporalio/workflow';
import { ROLLOUT_VERBS, type MessageVerb, type VerbAnswer, type VerbPayload } from '../policies/model/rollout.js';
import type { ReasonCode } from '../policies/model/reasons.js';
import { readVerbPayload } from '../policies/rollout/verbs.js';
import {
  lateNewsSignal,
  siteOutcomesSignal,
  statusQuery,
  tellSignal,
  VERB_DESCRIPTIONS,
  verbSignals,
  verbUpdates,
} from './messages.js';
import { takeNews } from './rollout-news.js';
import { prepareRetry, refuseRetry } from './rollout-retry.js';
import { failingStages, note, type RolloutRun } from './rollout-run.js';
import { statusOf } from './rollout-status.js';

export function handleMessages(run: RolloutRun): void {
  for (const verb of [...ROLLOUT_VERBS, 'supersede' as const]) handleVerb(run, verb);
  setHandler(statusQuery, () => statusOf(run, Date.now()), { description: 'What the rollout is doing and why.' });
  // Handlers of signals never throw: one TypeError there was measured to jam a rollout, abort included.
  setHandler(siteOutcomesSignal, (news) => heed(run, 'siteOutcomes', news));
  setHandler(lateNewsSignal, (news) => heed(run, 'lateNews', news));
  setHandler(tellSignal, () => void (run.dirty = true));
}

function handleVerb(run: RolloutRun, verb: MessageVerb): void {
  const description = VERB_DESCRIPTIONS[verb];
  setHandler(verbUpdates[verb], (input) => answerUpdate(run, verb, input), {
    description,
    validator: (input) => {
      const read = readVerbPayload(input);
      if ('refused' in read) throw ApplicationFailure.nonRetryable(read.refused, 'BAD_PAYLOAD');
      if (verb !== 'supersede' || !run.reading) refuseIf(refusalOf(run, verb, read.payload));
    },
  });
  setHandler(verbSignals[verb], (input) => safely(run, verb, () => takeSignal(run, verb, input)), { description });
}

async function answerUpdate(run: RolloutRun, verb: MessageVerb, input: unknown): Promise<VerbAnswer> {
  const read = readVerbPayload(input);
  if ('refused' in read) return { accepted: false, message: read.refused };
  if (verb === 'retry') return prepareRetry(run, read.payload);
  if (run.reading && verb === 'supersede') {
    // Which sites it has commanded it knows again once everything is read.
    await condition(() => !run.reading);
    refuseIf(refusalOf(run, verb, read.payload));
  }
  return { accepted: true, message: obey(run, verb, read.payload) };
}

function refuseIf(refusal: Refusal | undefined): void {
  if (refusal) throw ApplicationFailure.nonRetryable(refusal.why, refusal.code ?? 'REFUSED');
}

function takeSignal(run: RolloutRun, verb: MessageVerb, input: unknown): void {
  const read = readVerbPayload(input);
  const refused = 'refused' in read ? read.refused : refusalOf(run, verb, read.payload)?.why;
  if (refused !== undefined) return note(run, 'signal-ignored', { verb, code: 'BAD_PAYLOAD', why: refused });
  if (!('payload' in read)) return;
  if (verb !== 'retry') return void obey(run, verb, read.payload);
  prepareRetry(run, read.payload)
    .then(({ accepted, message }) => accepted || note(run, 'signal-ignored', { verb, why: message }))
    .catch((error: unknown) => note(run, 'signal-ignored', { verb, why: String(error) }));
}

interface Refusal {
  why: string;
  code?: ReasonCode;
}

/** Why the verb cannot be obeyed now, or undefined. */
function refusalOf(run: RolloutRun, verb: MessageVerb, payload: VerbPayload): Refusal | undefined {
  if (run.state === 'sealed') return { why: `the rollout is sealed (${run.outcome ?? 'ended'}); start a new one` };
  if (verb === 'supersede') return refuseSupersede(run, payload);
  const why = verb === 'retry' ? refuseRetry(run, payload) : whyNot(run, verb, payload);
  return why === undefined ? undefined : { why };
}

function whyNot(
  run: RolloutRun,
  verb: Exclude<MessageVerb, 'retry' | 'supersede'>,
  payload: VerbPayload,
): string | undefined {
  switch (verb) {
    case 'pause':
      if (run.stop || run.state === 'reverting') return 'the rollout is being undone: an undo does not pause';
      return run.paused ? 'the rollout is already paused' : undefined;
    case 'resume':
      return run.paused ? undefined : 'the rollout is not paused';
    case 'promote':
      return refusePromotion(run, payload);
    case 'abort':
      return run.state === 'reverting' ? 'the rollout is already being undone' : undefined;
    case 'revert':
      return run.stop?.verb === 'revert' ? 'the rollout is already being reverted' : undefined;
  }
}

function refusePromotion(run: RolloutRun, payload: VerbPayload): string | undefined {
  if (!run.wait) return 'nothing waits to be promoted';
  if (run.wait.reason.code === 'NO_CONFIRMED_SITE') {
    return 'a cohort with no confirmed site never promotes; wait until a site confirms, or abort';
  }
  if ((run.outcome === 'halted' || failingStages(run).length > 0) && !payload.override) {
    return `${run.wait.reason.code}: promoting against a failure needs "override": true`;
  }
  return undefined;
}

/** A site that has this release and that nobody else brings to another one would be left with what nobody wants. */
function refuseSupersede(run: RolloutRun, payload: VerbPayload): Refusal | undefined {
  if (run.stop?.verb === 'supersede') return { why: 'the rollout is already giving way' };
  if (run.reading) return { why: 'the rollout is just continuing as new; ask again in a moment' };
  if (run.stop || run.state === 'reverting') return { why: 'the rollout is being undone; wait until that has ended' };
  const left = (payload.leftOut ?? []).filter((site) => run.commanded.has(site) && !isBack(run, site));
  const beginning = [...run.shards.values()].filter((shard) => !shard.closed && shard.input.verb === 'converge');
  const maybe = beginning
    .flatMap((shard) => shard.input.sites.map((site) => site.id))
    .filter((site) => !isBack(run, site));
  const open = (payload.leftOut ?? []).filter((site) => maybe.includes(site));
  const sites = [...new Set([...left, ...open])].sort();
  if (sites.length === 0) return undefined;
  const named = sites.slice(0, 10).join(', ') + (sites.length > 10 ? ' …' : '');
  return { code: 'SUPERSEDE_TOO_NARROW', why: `${sites.length} commanded sites are not in the new plan: ${named}` };
}

/** It runs what it ran before. */
function isBack(run: RolloutRun, site: string): boolean {
  const outcome = run.outcomes.get(site)?.outcome;
  return outcome === 'reverted' || outcome === 'rejected';
}

function obey(run: RolloutRun, verb: Exclude<MessageVerb, 'retry'>, payload: VerbPayload): string {
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
    case 'supersede':
      run.stop = { verb, ...payload };
      return 'no further site is commanded; the rollout ends without an undo and lets go of the stream';
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
