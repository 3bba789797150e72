/**
 * Nothing outlives this process: a shell holds the list of process groups that were started here, and kills them when
 * its input ends, which it does however this process ends (return, crash, Ctrl-C, kill -9).
 */
import { spawn } from 'node:child_process';
import type { Writable } from 'node:stream';

const SCRIPT = `
groups=
while read -r sign pid; do
  kept=
  for group in $groups; do [ "$group" = "$pid" ] || kept="$kept $group"; done
  groups=$kept
  [ "$sign" = + ] && groups="$groups $pid"
done
for group in $groups; do kill -s KILL -- "-$group" 2>/dev/null; done
`;

let input: Writable | undefined;

/** Once it resolves, the group led by `pid` ends with this process. */
export async function watchGroup(pid: number): Promise<void> {
  input ??= startReaper();
  const to = input;
  await new Promise<void>((resolve) => to.write(`+ ${pid}\n`, () => resolve()));
}

/** The group is gone; its number may be used again by others. */
export function forgetGroup(pid: number): void {
  input?.write(`- ${pid}\n`);
}

function startReaper(): Writable {
  const shell = spawn('/bin/sh', ['-c', SCRIPT], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  shell.unref();
  shell.on('error', () => undefined);
  shell.stdin.on('error', () => undefined);
  (shell.stdin as Writable & { unref?: () => void }).unref?.();
  return shell.stdin;
}
