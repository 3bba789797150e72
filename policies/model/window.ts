/** Maintenance windows, as people write them: by the clock on the wall of a place. */
import { z } from 'zod';

export const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;

const TimeOfDay = z
  .string()
  .regex(/^(([01]\d|2[0-3]):[0-5]\d|24:00)$/)
  .describe('a time of day, such as 22:00; 24:00 is the end of the day');

const Zone = z
  .string()
  .refine(isZone, 'expected a time zone that this machine knows, such as Europe/Oslo or UTC')
  .describe('a time zone, such as Europe/Oslo');

/** From `from` until `to`; one that ends no later than it begins goes on past midnight, and is of the day on which it began. */
export const Window = z
  .strictObject({
    days: z.array(z.enum(DAYS)).min(1).describe('a list of at least one of mon … sun').optional(),
    from: TimeOfDay,
    to: TimeOfDay,
    zone: Zone,
  })
  .refine(({ from, to }) => from !== to && from !== '24:00', 'expected a window that is neither empty nor a whole day');
export type Window = z.infer<typeof Window>;

function isZone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone });
    return true;
  } catch {
    return false;
  }
}
