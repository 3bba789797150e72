/** What the Temporal UI shows of a rollout: everything that matters first, and never more than the server takes. */
import { describe, expect, it } from 'vitest';
import type { RolloutStatus, SiteOutcome } from '../../../policies/model/rollout.js';
import { describeRollout } from '../../../policies/rollout/describe.js';

const SERVER_TAKES = 20_000;

function status(change: Partial<RolloutStatus> = {}): RolloutStatus {
  return {
    label: 'edge-proxy-2.4.0-1',
    workflowId: 'w',
    firstRunId: 'r',
    stream: 'edge-proxy',
    release: { version: '2.4.0', digest: `sha256:${'1'.repeat(64)}` },
    strategy: 'careful',
    planDigest: `sha256:${'2'.repeat(64)}`,
    generation: 1,
    state: 'running',
    stages: [{ name: 'canary', sites: 2, wave: 1, waves: 1, confirmed: 1, failed: 1, owed: 0, state: 'running' }],
    startedAt: 0,
    updatedAt: 0,
    owedReverts: [],
    ...change,
  };
}

const failed = (site: string, detail: string): SiteOutcome => ({
  site,
  outcome: 'rejected',
  stage: 'canary',
  wave: 0,
  reason: { code: 'STAGE_FAILED', detail },
});

describe('describeRollout', () => {
  it('says while files travel until when, that nothing is changed, and what begins now', () => {
    const text = describeRollout(
      status({ state: 'prefetching', prefetch: { since: 0, until: Date.parse('2026-11-22T03:00:00Z') } }),
      [],
      ['promote', 'abort'],
    );
    expect(text.split('\n')[0]).toBe(
      '**edge-proxy-2.4.0-1** files travel until 2026-11-22T03:00:00.000Z; no site has been changed; promote begins now',
    );
    expect(text).toContain('- `foothold promote edge-proxy-2.4.0-1 --reason …`');
  });

  it('shows the stage table, the first ten problem sites and the next commands', () => {
    const outcomes = Array.from({ length: 12 }, (_, i) => failed(`site-${i}`, 'disk full'));
    const text = describeRollout(status(), outcomes, ['pause', 'abort', 'revert']);
    expect(text).toContain('| canary | running | 1/1 | 2 | 1 | 1 | 0 |');
    expect(text.match(/^- site-/gm)).toHaveLength(10);
    expect(text).toContain('- and 2 more');
    expect(text).toContain('foothold pause edge-proxy-2.4.0-1');
  });

  it('names whose turn it is, and what can be done', () => {
    const wait = {
      reason: { code: 'GATE_NO_DATA' as const, detail: 'x' },
      owner: 'duty',
      since: 0,
      then: 'stay' as const,
    };
    const text = describeRollout(status({ state: 'waiting', wait }), [], ['promote', 'retry']);
    expect(text).toContain('needs duty');
    expect(text.split('\n').slice(-2)).toEqual([
      '- `foothold promote edge-proxy-2.4.0-1 --reason …`',
      '- `foothold retry edge-proxy-2.4.0-1 --reason …`',
    ]);
  });

  it('names what is accepted and nothing else: a flag stands after the rollout, and without a verb there is something to read', () => {
    const halted = describeRollout(
      status({ state: 'waiting', outcome: 'halted' }),
      [],
      ['promote --override', 'abort'],
    );
    expect(halted).toContain('`foothold promote edge-proxy-2.4.0-1 --override --reason …`');
    expect(halted.match(/foothold /g)).toHaveLength(2);
    const sealed = describeRollout(status({ state: 'sealed', outcome: 'reverted' }), [], []);
    expect(sealed.match(/`foothold [^`]*`/g)).toEqual(['`foothold explain edge-proxy-2.4.0-1`']);
  });

  it('10,000 sites with long names in 400 stages, all of them failing in many words: it fits, commands included', () => {
    const name = (i: number) => `${String(i).padStart(5, '0')}-${'名'.repeat(50)}`;
    const row = { sites: 25, wave: 1, waves: 1, confirmed: 0, failed: 25, owed: 0, state: 'running' as const };
    const stages = Array.from({ length: 400 }, (_, i) => ({ name: name(i), ...row }));
    const outcomes = Array.from({ length: 10_000 }, (_, i) => failed(name(i), '警'.repeat(5_000)));
    const text = describeRollout(
      status({ stages, reason: { code: 'BUDGET_FAILED', detail: '報'.repeat(9_000) } }),
      outcomes,
      ['abort', 'revert'],
    );
    expect(new TextEncoder().encode(text).length).toBeLessThan(SERVER_TAKES);
    expect(text).toContain('more stages');
    expect(text).toContain('foothold revert edge-proxy-2.4.0-1');
    expect(text.match(/^- \d{5}-/gm)).toHaveLength(10);
  });
});
