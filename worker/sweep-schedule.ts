/** The schedule `foothold-sweep`: made by whichever control worker comes first, and left alone by the others. */
import { ScheduleAlreadyRunning, ScheduleOverlapPolicy, type Client } from '@temporalio/client';
import { TASK_QUEUE } from '../policies/model/rollout.js';

export const SWEEP_SCHEDULE = 'foothold-sweep';

/** `every`, `missed`: ms. What was missed longer ago is not made up for: the next sweep sees the same world. */
export async function ensureSweepSchedule(client: Client, every = 60_000, missed = 60_000): Promise<void> {
  try {
    await client.schedule.create({
      scheduleId: SWEEP_SCHEDULE,
      spec: { intervals: [{ every }] },
      action: {
        type: 'startWorkflow',
        workflowType: 'sweep',
        workflowId: 'foothold/sweep',
        taskQueue: TASK_QUEUE,
        args: [],
      },
      policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: missed },
    });
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
  }
}
