/** Every kind of debt explained. */
import { CATCH_UP, type Debt } from '../../policies/model/debt.js';
import { leavesRevertOwed } from '../../policies/site/not-taken.js';
import { explanationOf, type Explanation, type Situation, type Subject } from './explanation.js';

export type { Explanation } from './explanation.js';

export function explainDebt(debt: Debt): Explanation {
  const { site, stream, verb, release, label, owner, reason } = debt;
  const what = verb === 'revert' ? `an undo of ${stream}@${release.version}` : `${stream}@${release.version}`;
  const stands = owner === CATCH_UP ? 'promoted' : 'open';
  const subject: Subject = { stream, version: release.version, label, site, stands };
  const explained = explanationOf({ about: `site ${site} owes ${what}`, reason, subject, otherwise: otherwise(debt) });
  // Whatever holds up a converge, an undo waits for the site's link alone, unless the agent there does not take it in.
  const isTaken = !leavesRevertOwed({ verb, result: 'rejected', reason });
  return verb === 'revert' && isTaken ? { ...explained, ...otherwise(debt) } : explained;
}

function otherwise({ verb, owner, site, label, until }: Debt): Situation['otherwise'] {
  if (verb === 'revert') {
    return {
      unblocks: 'the site’s link coming back: owed reverts are delivered first, and never expire',
      who: 'whoever runs the site’s link; nobody has to act in Foothold',
      next: [`foothold site show ${site}`],
    };
  }
  if (owner !== CATCH_UP && until === undefined) {
    return {
      unblocks: `the site’s link coming back, and then a person trying again: ${label} does not do so by itself`,
      who: 'whoever runs the site’s link, and the person on duty',
      next: [`foothold retry ${label} ${site} --reason …`],
    };
  }
  const when =
    until === undefined ? 'the site’s link coming back' : `${new Date(until).toISOString()}, when it is tried again`;
  const whose = owner === CATCH_UP ? 'catch-up brings it then, in steps' : `${label} brings it then`;
  return {
    unblocks: `${when}: ${whose}`,
    who: until === undefined ? 'whoever runs the site’s link' : 'nobody has to: it happens by itself',
    next: owner === CATCH_UP ? [`foothold retry ${label} ${site} --reason …`] : [`foothold status ${label}`],
  };
}
