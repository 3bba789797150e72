/**
 * The floor: a bare loop that polls once a second and, at the first bad answer, flips the link back and reloads; or, for
 * failures that are events, holds a connection and does so when it ends.
 */
import { execFile } from 'node:child_process';
import { closeSync, fsyncSync, openSync, renameSync, symlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { isGood } from './prober.js';

export interface FloorOrder {
  url: string;
  listen: string;
  on: 'poll' | 'end';
  live: string;
  good: string;
  reload: string[];
}

const EVERY_MS = 1_000;

async function waitAndFlip(order: FloorOrder): Promise<void> {
  await (order.on === 'end' ? untilEnd(order.listen) : untilBad(order.url));
  flip(order.live, order.good);
  const [program = '', ...args] = order.reload;
  await new Promise<void>((resolve) => execFile(program, args, () => resolve()));
}

async function untilBad(url: string): Promise<void> {
  do await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  while (await isGood(url));
}

function untilEnd(listen: string): Promise<void> {
  const { hostname, port } = new URL(`http://${listen}`);
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname).resume();
    socket.on('error', () => undefined).once('close', () => resolve());
  });
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
    void waitAndFlip(order).then(() => process.send?.('flipped'));
  });
}
