/** What a rollout takes for the answer to its undo. */
import { describe, expect, it } from 'vitest';
import type { Result } from '../../policies/model/command.js';
import type { PlanOutline } from '../../policies/model/outline.js';
import { takeNews } from '../../workflows/rollout-news.js';
import { openRolloutRun } from '../../workflows/rollout-run.js';

const firstRunId = 'run-1';

function answerOf(word: Result['result'], reason?: Result['reason']): Result {
  const commandId = `${firstRunId}/osl-01/edge-proxy/revert/1`;
  const named = { commandId, site: 'osl-01', stream: 'edge-proxy', verb: 'revert' as const, generation: 2, try: 1 };
  return { ...named, result: word, at: 1_000, changed: false, ...(reason && { reason }) };
}

function runOf() {
  const identity = { workflowId: 'w', firstRunId, runId: firstRunId, continuation: 0 };
  const run = openRolloutRun({ release: 'edge-proxy@2.4.0', strategy: 'careful' }, identity, null, 0);
  run.outline = { stages: [{ name: 'all', waves: [{ sites: [{ id: 'osl-01', link: 'fibre' }] }] }] } as PlanOutline;
  return run;
}

describe('the answer to an undo', () => {
  it.each(['SIGNATURE_INVALID', 'WRONG_SITE', 'WRONG_EPOCH', 'ENROLMENT_USED', 'JOURNAL_FORKED'] as const)(
    '[A19] is not that the agent did not take it in: %s',
    (code) => {
      const run = runOf();
      const refused = answerOf('rejected', { code, detail: '' });
      expect(takeNews(run, { firstRunId, outcomes: [], answers: [refused] })).toBeUndefined();
      expect(run.answers.size).toBe(0);
    },
  );

  it('is what the site has journaled, also that the command was too late', () => {
    for (const answer of [answerOf('reverted'), answerOf('rejected', { code: 'STALE', detail: '' })]) {
      const run = runOf();
      takeNews(run, { firstRunId, outcomes: [], answers: [answer] });
      expect([...run.answers.keys()]).toEqual(['osl-01']);
    }
  });
});
