/** A person at the door, without a terminal: runs a command line in this process and keeps what it said. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach } from 'vitest';
import type { Io } from '../../cli/io.js';
import { runProgram } from '../../cli/program.js';

export interface Said {
  exit: number;
  out: string;
  err: string;
}

const directories: string[] = [];
afterEach(async () => {
  for (const directory of directories.splice(0)) await rm(directory, { recursive: true, force: true });
});

export async function emptyDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'foothold-test-'));
  directories.push(directory);
  return directory;
}

export const NOON = Date.parse('2026-11-22T12:00:00Z');

export function ioAt(cwd: string, changes: Partial<Io> = {}): { io: Io; said: { out: string; err: string } } {
  const said = { out: '', err: '' };
  const io: Io = {
    cwd,
    // A port that nothing listens on: a test that asks Temporal without meaning to is told so at once.
    env: {
      TEMPORAL_ADDRESS: '127.0.0.1:1',
      TEMPORAL_CONFIG_FILE: join(cwd, 'no-such-file.toml'),
      FOOTHOLD_BY: 'tester',
    },
    out: (text) => void (said.out += text),
    err: (text) => void (said.err += text),
    outTerminal: false,
    errTerminal: false,
    columns: 100,
    now: Date.now,
    interrupted: new AbortController().signal,
    ...changes,
  };
  return { io, said };
}

export async function foothold(cwd: string, argv: string[], changes: Partial<Io> = {}): Promise<Said> {
  const { io, said } = ioAt(cwd, changes);
  const exit = await runProgram(argv, io);
  return { exit, ...said };
}

export function json(said: Said): unknown {
  return JSON.parse(said.out);
}
