/** A person at the site answers a `person` check: durable, journaled with the name, for this trial only. */
import { z } from 'zod';
import { MistakeError } from '../policies/model/failure.js';
import { Name } from '../policies/model/names.js';
import { journal } from './advance.js';
import type { SiteContext } from './context.js';

/** What a person says goes into the journal, and with a result. */
export const Words = z.string().min(1).max(2_000);

/** Without `check`: the only one that is open. */
export const PersonalAnswer = z.strictObject({
  stream: Name,
  check: Name.optional(),
  by: Words,
  reason: Words,
});
export type PersonalAnswer = z.infer<typeof PersonalAnswer>;

export interface Answered {
  stream: string;
  check: string;
  /** The question that was answered. */
  question: string;
}

/** Throws MistakeError CHECK_NOT_ASKED if no such question stands. */
export function answerCheck(context: SiteContext, { stream, check, by, reason }: PersonalAnswer): Answered {
  const { store } = context;
  return store.transact(() => {
    const { state, trial } = store.stream(stream);
    const held = state === 'watching' && trial ? store.held(trial.releaseId) : undefined;
    if (!held) throw notAsked(`no release of ${stream} is being watched; it is ${state}`);
    const asked = held.release.checks.flatMap((one) => ('person' in one ? [one] : []));
    const open = asked.filter((one) => held.answers?.[one.name] === undefined);
    const meant = check === undefined ? open : open.filter((one) => one.name === check);
    const [one, second] = meant;
    const names = open.map(({ name }) => name).join(', ') || 'none';
    if (!one) throw notAsked(`expected one of the open questions of ${stream} ${held.version}: ${names}`);
    if (second) throw notAsked(`several questions are open, name one with --check: ${names}`);
    store.putHeld({ ...held, answers: { ...held.answers, [one.name]: by } });
    journal(context, stream, {
      kind: 'answered',
      commandId: trial?.commandId,
      detail: { check: one.name, question: one.person, by, reason },
    });
    return { stream, check: one.name, question: one.person };
  });
}

function notAsked(words: string): MistakeError {
  return new MistakeError('CHECK_NOT_ASKED', words);
}
