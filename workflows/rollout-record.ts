/** Evidence and status leave the workflow here, in order; the Temporal UI is told the same. */
import { defineSearchAttributeKey } from '@temporalio/common';
import { condition, setCurrentDetails, upsertSearchAttributes } from '@temporalio/workflow';
import { describeRollout } from '../policies/rollout/describe.js';
import { patient } from './proxies.js';
import { offeredVerbs } from './rollout-refusals.js';
import { learnOfReset } from './rollout-reset.js';
import { isRecorded, type RolloutRun } from './rollout-run.js';
import { statusOf } from './rollout-status.js';

const ATTRIBUTES = {
  rollout: defineSearchAttributeKey('FootholdRollout', 'KEYWORD'),
  stream: defineSearchAttributeKey('FootholdStream', 'KEYWORD'),
  release: defineSearchAttributeKey('FootholdRelease', 'KEYWORD'),
  state: defineSearchAttributeKey('FootholdState', 'KEYWORD'),
};

/** Appends what was noted for as long as the rollout lives. Retried for ever: a record is never given up. */
export async function keepRecording(run: RolloutRun): Promise<void> {
  let published = '';
  for (;;) {
    await condition(() => !run.adopting && !run.reading && (run.dirty || run.drafts.length > 0));
    const status = statusOf(run, Date.now());
    if (!status) {
      run.dirty = false;
      await condition(() => run.outline !== undefined);
      continue;
    }
    const drafts = run.drafts;
    run.drafts = [];
    run.dirty = false;
    run.recording = true;
    run.inFlight = drafts;
    setCurrentDetails(describeRollout(status, [...run.outcomes.values()], offeredVerbs(run)));
    const word = status.outcome ?? status.state;
    if (word !== published) publishState(run, word);
    published = word;
    await recordLost(run);
    const { wasReset, askedBy } = await patient.recordProgress(drafts, status, run.identity);
    if (wasReset) await learnOfReset(run, askedBy);
    run.recording = false;
    run.inFlight = [];
  }
}

async function recordLost(run: RolloutRun): Promise<void> {
  const { firstRunId } = run.identity;
  for (let lost = run.lost.shift(); lost; lost = run.lost.shift()) {
    const { stage, wave, rows } = lost;
    await patient.recordDispositions({ firstRunId, stage, wave }, rows);
  }
}

/** Holds a change until the record of the decision that leads to it is safe, or someone stops the rollout. */
export async function untilRecorded(run: RolloutRun): Promise<void> {
  await condition(() => isRecorded(run) || run.stop !== undefined);
}

/** At the end nothing lets go before everything is written. */
export async function untilAllRecorded(run: RolloutRun): Promise<void> {
  await condition(() => isRecorded(run));
}

function publishState(run: RolloutRun, state: string): void {
  const { outline } = run;
  if (!outline) return;
  upsertSearchAttributes([
    { key: ATTRIBUTES.rollout, value: outline.label },
    { key: ATTRIBUTES.stream, value: outline.release.stream },
    { key: ATTRIBUTES.release, value: `${outline.release.stream}@${outline.release.version}` },
    { key: ATTRIBUTES.state, value: state },
  ]);
}
