import { expect, it } from 'vitest';
import type { UndoScope } from '../../../policies/model/rollout.js';
import { keepsConfirmed } from '../../../policies/rollout/undo-scope.js';

const undo = (stages: string[], keepConfirmed: boolean): UndoScope => ({
  ...{ stages, keepConfirmed, block: false },
  reason: { code: 'ABORTED', detail: '' },
});

it('of several undos, confirmed sites of a stage stay only if all that go to it leave them', () => {
  const undos = [undo(['one', 'two'], true), undo(['two'], false)];
  expect(['one', 'two', 'three'].map((stage) => keepsConfirmed(undos, stage))).toEqual([true, false, undefined]);
  expect(keepsConfirmed(undos.toReversed(), 'two')).toBe(false);
});
