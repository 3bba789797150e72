/** The floor: a bare loop that polls once a second and, at the first bad answer, flips the link back and reloads. */
import { execFile } from 'node:child_process';
import { closeSync, fsyncSync, openSync, renameSync, symlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import { isGood } from './prober.js';

export interface FloorOrder {
  url: string;
  live: string;
  good: string;
  reload: string[];
}

const EVERY_MS = 1_000;

async function pollAndFlip(order: FloorOrder): Promise<void> {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    if (await isGood(order.url)) continue;
    flip(order.live, order.good);
    const [program = '', ...args] = order.reload;
    await new Promise<void>((resolve) => execFile(program, args, () => resolve()));
    return;
  }
}

export function flip(live: string, target: string): void {
  symlinkSync(target, `${live}.next`);
  renameSync(`${live}.next`, live);
  const directory = openSync(dirname(live), 'r');
  fsyncSync(directory);
  closeSync(directory);
}

if (process.send) {
  process.on('message', (order: FloorOrder) => {
    void pollAndFlip(order).then(() => process.send?.('flipped'));
  });
}
