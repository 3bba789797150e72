/** Row H14 of docs/faults.md: what is started by the clock is started once, and not beside itself. */
import { ScheduleAlreadyRunning, ScheduleOverlapPolicy, type Client } from '@temporalio/client';
import { expect, test } from 'vitest';
import { ensureSweepSchedule, SWEEP_SCHEDULE } from '../../worker/sweep-schedule.js';

/** A server that knows which schedules there are. */
function serverOf() {
  const made = new Map<string, { action: unknown; policies: unknown }>();
  const create = async (options: { scheduleId: string; action: unknown; policies: unknown }) => {
    if (made.has(options.scheduleId)) throw new ScheduleAlreadyRunning('already there', options.scheduleId);
    made.set(options.scheduleId, options);
  };
  return { made, client: { schedule: { create } } as unknown as Client };
}

test('H14: of many control workers that start at once one makes the schedule, and none fails', async () => {
  const { made, client } = serverOf();
  await Promise.all(Array.from({ length: 5 }, () => ensureSweepSchedule(client)));
  expect([...made.keys()]).toEqual([SWEEP_SCHEDULE]);
});

test('H14 [B36]: a sweep has one id, so that Temporal refuses a second beside it, and one that is due meanwhile is left out', async () => {
  const { made, client } = serverOf();
  await ensureSweepSchedule(client);
  expect(made.get(SWEEP_SCHEDULE)).toMatchObject({
    action: { type: 'startWorkflow', workflowId: 'foothold/sweep' },
    policies: { overlap: ScheduleOverlapPolicy.SKIP },
  });
});

test('whatever else keeps it from being made is told', async () => {
  const create = async () => Promise.reject(new Error('14 UNAVAILABLE'));
  await expect(ensureSweepSchedule({ schedule: { create } } as unknown as Client)).rejects.toThrow('UNAVAILABLE');
});
