import { describe, expect, it } from 'vitest';
import type { CentralHold } from '../../../policies/model/hold.js';
import type { SiteReport } from '../../../policies/model/report.js';
import { declaredReport } from '../../../policies/preflight/facts.js';
import { judgeHeld } from '../../../policies/rollout/judge-held.js';

const NOW = 1_000_000;
const known = (more: Partial<SiteReport>, receivedAt = NOW) => {
  return { report: { ...declaredReport({ id: 's1', versions: {} }), ...more }, receivedAt };
};
const central = (more: Partial<CentralHold> = {}): CentralHold => {
  return { id: 'hold-1', site: 's1', by: 'ola', reason: 'no crew', at: 1, ...more };
};
const judged = (more: Partial<SiteReport>, holds: CentralHold[] = [], now = NOW) =>
  judgeHeld('s1', 'relay', known(more), holds, now);
const hold = { by: 'kari', reason: 'mast', at: 5 };

describe('a site', () => {
  it('is held by a person there, for as long as it said that it would be, by the clock of the centre', () => {
    const held = { holds: [{ ...hold, until: 1, endsIn: 500 }] };
    expect(judged(held)).toEqual({ code: 'HELD', detail: 'at the site by kari: mast', until: NOW + 500 });
    expect(judged(held, [], NOW + 500)).toBeUndefined();
    expect(judged({ holds: [hold] }, [], NOW * NOW)?.until).toBeUndefined();
    expect(judged({ holds: [{ ...hold, stream: 'psk' }] })).toBeUndefined();
    expect(judged({ holds: [{ ...hold, stream: 'relay' }] })).toMatchObject({ code: 'HELD' });
  });

  it('is held at the centre, heard of or not; of several the one that lasts longest is named', () => {
    expect(judgeHeld('s1', 'relay', undefined, [central()], NOW)).toEqual({
      code: 'HELD',
      detail: 'hold-1 at the centre by ola: no crew',
    });
    expect(judged({}, [central({ site: 's2' }), central({ stream: 'psk' })])).toBeUndefined();
    expect(judged({}, [central({ until: NOW }), central({ lifted: { at: 2, by: 'x', reason: 'y' } })])).toBeUndefined();
    const both = judged({ holds: [{ ...hold, endsIn: 500 }] }, [central({ until: NOW + 400 })]);
    expect(both).toMatchObject({ detail: 'at the site by kari: mast', until: NOW + 500 });
    expect(judged({ holds: [{ ...hold, endsIn: 500 }] }, [central()])?.until).toBeUndefined();
  });

  it('is given nothing new in safe mode, or by an agent that only observes', () => {
    const safeMode = { at: 5, reason: { code: 'REVERT_FAILED', detail: 'x' } } as const;
    const stream = { state: 'reverted', safeMode, generation: 1, try: 1, checks: [] } as const;
    const streams = { relay: { ...stream, checks: [] } };
    expect(judged({ streams })).toMatchObject({ code: 'SAFE_MODE' });
    expect(judgeHeld('s1', 'psk', known({ streams }), [], NOW)).toBeUndefined();
    expect(judged({ observing: true })).toMatchObject({ code: 'OBSERVING' });
    expect(judged({})).toBeUndefined();
  });
});
