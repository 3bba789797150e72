/** A hold that a person put at the centre: nothing new is sent to the site until it is lifted or over; undo never waits. */
export interface CentralHold {
  /** `hold-<n>` */
  id: string;
  site: string;
  /** Absent: every stream. */
  stream?: string;
  /** Epoch ms; absent: until it is lifted. */
  until?: number;
  by: string;
  reason: string;
  at: number;
  lifted?: { at: number; by: string; reason: string };
}
