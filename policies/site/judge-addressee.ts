/** Whether a command is for this agent, and not for another that goes by the same site id (docs/decisions/0003). */
import type { Command } from '../model/command.js';
import { FIRST_EPOCH } from '../model/enrolment.js';
import type { NotTaken } from './not-taken.js';

/** What an agent knows of itself. */
export interface Addressee {
  epoch: number;
  /** Absent: it was never enrolled. */
  instance?: string | undefined;
  /** Sequence of the last event of this epoch. */
  sequence: number;
  /** Hash of the event of this epoch with that sequence; undefined if there is none, or it is kept no longer. */
  hashAt: (sequence: number) => string | undefined;
}

/** The reason why the command is refused, or undefined. */
export function judgeAddressee(
  command: Pick<Command, 'epoch' | 'instance' | 'ackedThrough'>,
  self: Addressee,
): NotTaken | undefined {
  const epoch = command.epoch ?? FIRST_EPOCH;
  if (epoch !== self.epoch) {
    const detail = `the command is for epoch ${epoch} of the site, this agent is of epoch ${self.epoch}`;
    return { code: 'WRONG_EPOCH', detail };
  }
  if (command.instance !== undefined && command.instance !== self.instance) {
    const own = self.instance === undefined ? 'this agent was never enrolled' : `this agent is ${self.instance}`;
    return { code: 'ENROLMENT_USED', detail: `the command is for instance ${command.instance}, ${own}` };
  }
  return judgeJournal(command.ackedThrough, self);
}

/** The centre names the last event that it has of this site: a journal without it is not the one it has been reading. */
function judgeJournal(acked: Command['ackedThrough'], self: Addressee): NotTaken | undefined {
  if (acked.hash === undefined || acked.sequence === 0 || acked.epoch !== self.epoch) return undefined;
  if (acked.sequence > self.sequence) {
    const detail = `the centre has ${acked.sequence} events of this site's journal, this one ends at ${self.sequence}`;
    return { code: 'JOURNAL_FORKED', detail };
  }
  const own = self.hashAt(acked.sequence);
  if (own === undefined || own === acked.hash) return undefined;
  return {
    code: 'JOURNAL_FORKED',
    detail: `event ${acked.sequence} of this journal is not the one that the centre has`,
  };
}
