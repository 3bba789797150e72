/** The agent's clocks. Deadlines use the elapsed clock only: the wall clock of a site may jump (design §5 rule 5). */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Moment } from '../policies/site/elapsed.js';

export interface Clock {
  /** Wall clock, epoch ms. */
  now(): number;
  /** Ms since this boot; never goes back, and counts while the machine sleeps. */
  elapsed(): number;
  /** Identifies this boot: `elapsed` of another boot is not comparable. */
  bootId(): string;
}

export function momentOf(clock: Clock): Moment {
  return { now: clock.now(), elapsed: clock.elapsed(), bootId: clock.bootId() };
}

const BOOT_ID = '/proc/sys/kernel/random/boot_id';

/**
 * The clock of the machine. Off Linux there is no boot id to read: each process then counts as a boot of its own, so
 * that a restart while watching is taken for a reboot, whose length the wall clock tells as far as it is plausible.
 */
export function machineClock(): Clock {
  const bootId = readBootId();
  if (bootId === undefined) {
    const own = randomUUID();
    return { now: Date.now, elapsed: () => performance.now(), bootId: () => own };
  }
  // performance.now() stands still while the machine sleeps on Linux; the uptime file does not.
  return { now: Date.now, elapsed: readUptime, bootId: () => bootId };
}

function readUptime(): number {
  return Number(readFileSync('/proc/uptime', 'latin1').split(' ', 1)[0]) * 1000;
}

function readBootId(): string | undefined {
  try {
    return readFileSync(BOOT_ID, 'latin1').trim();
  } catch {
    return undefined;
  }
}
