import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { freePort } from '../../../infra/dev/ports.js';
import { startProcess, type ProcessOptions, type RunningProcess } from '../../../infra/dev/process.js';
import { run } from '../../../infra/dev/run.js';
import { transpiled } from './transpiled.js';

let directory: string;
const started: RunningProcess[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'foothold-process-'));
});
afterEach(async () => {
  for (const process of started.splice(0)) await process.stop();
  rmSync(directory, { recursive: true, force: true });
});

async function start(script: string, more: Partial<ProcessOptions> = {}): Promise<RunningProcess> {
  const options = { name: 'program', directory, path: '/bin/sh', args: ['-c', script], stopWithin: 300, ...more };
  const running = await startProcess(options);
  started.push(running);
  return running;
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !existsSync('/proc/self') || readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ')[2] !== 'Z';
  } catch {
    return false;
  }
}

const pidIn = (file: string): number => Number(readFileSync(join(directory, file), 'utf8'));
const written = (file: string) => () => existsSync(join(directory, file)) && pidIn(file) > 0;

describe('processes of the development stack', () => {
  it('are ready when they say so, and write their log', async () => {
    const running = await start(`sleep 0.2; echo up; echo 1 > ready; exec sleep 60`, {
      cwd: directory,
      ready: async () => existsSync(join(directory, 'ready')),
    });
    expect(running.tail()).toBe('up');
    expect(running.running()).toBe(true);
    await running.stop();
    expect(alive(running.pid)).toBe(false);
    expect(await running.exited).toEqual({ code: null, signal: 'SIGTERM' });
  });

  it('fail with the last lines of their log when they end before they are ready', async () => {
    const never = start('echo port 7 is taken >&2; exit 3', { ready: async () => false });
    await expect(never).rejects.toThrow(/program to start, it ended with code 3 .*\n.*port 7 is taken/s);
  });

  it('fail and are stopped when they are not ready in time', async () => {
    const never = start('echo $$ > pid; exec sleep 60', { cwd: directory, ready: async () => false, within: 200 });
    await expect(never).rejects.toThrow(/was not ready within 200 ms/);
    expect(alive(pidIn('pid'))).toBe(false);
  });

  it('fail by name when the program is not there', async () => {
    await expect(start('', { path: '/nowhere/nginx' })).rejects.toThrow(/program could not be started: .*ENOENT/);
  });

  it('are killed with their children when they do not heed the request to stop', async () => {
    const running = await start(`trap '' TERM; sleep 60 & echo $! > child; while :; do sleep 1; done`, {
      cwd: directory,
      ready: async () => written('child')(),
    });
    await running.stop();
    await expect.poll(() => alive(pidIn('child'))).toBe(false);
    expect(alive(running.pid)).toBe(false);
  });

  it('crash alone, as with kill -9', async () => {
    const running = await start('sleep 60 & echo $! > child; wait', {
      cwd: directory,
      ready: async () => written('child')(),
    });
    await running.crash();
    expect([alive(running.pid), alive(pidIn('child'))]).toEqual([false, true]);
    await running.stop();
    await expect.poll(() => alive(pidIn('child'))).toBe(false);
  });
});

describe('processes whose starter ends', () => {
  it('are all stopped, one that is not ready yet among them, and no more are started', async () => {
    const source = `import { startProcess, stopEverything } from ${JSON.stringify(transpiled(directory))};
      const start = (name, ready) => startProcess({ name, directory: ${JSON.stringify(directory)}, path: '/bin/sh',
        args: ['-c', 'echo $$ > ' + name + '; exec sleep 60'], cwd: ${JSON.stringify(directory)}, ready });
      await start('first', async () => true);
      const second = start('second', async () => false).catch((error) => error.message);
      setTimeout(async () => {
        await stopEverything();
        const third = await start('third').catch((error) => error.message);
        console.log(JSON.stringify([await second, third]));
      }, 300);`;
    const ended = await run(process.execPath, ['--input-type=module', '-e', source]);
    const [second, third] = JSON.parse(ended.stdout) as string[];
    expect(second).toMatch(/second to start, it ended with SIGTERM/);
    expect(third).toMatch(/third is not started any more/);
    expect([pidIn('first'), pidIn('second')].map(alive)).toEqual([false, false]);
    expect(existsSync(join(directory, 'third'))).toBe(false);
  });

  it.each(['SIGKILL', 'SIGINT', 'exit'] as const)('end with the process that started them (%s)', async (how) => {
    const source = `import { startProcess } from ${JSON.stringify(transpiled(directory))};
      await startProcess({ name: 'child', directory: ${JSON.stringify(directory)}, path: '/bin/sh',
        args: ['-c', 'sleep 60 & echo $! > grandchild; echo $$ > child; wait'], cwd: ${JSON.stringify(directory)} });
      ${how === 'exit' ? 'setTimeout(() => process.exit(1), 400);' : 'setInterval(() => undefined, 1000);'}`;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', source], { stdio: 'inherit' });
    await expect.poll(written('child'), { timeout: 5_000 }).toBe(true);
    const pids = [pidIn('child'), pidIn('grandchild')];
    expect(pids.map(alive)).toEqual([true, true]);
    if (how !== 'exit') parent.kill(how);
    await expect.poll(() => pids.map(alive), { timeout: 5_000 }).toEqual([false, false]);
  });

  it('end with it when it is killed by the first thing they do', async () => {
    const source = `import { startProcess } from ${JSON.stringify(transpiled(directory))};
      await startProcess({ name: 'child', directory: ${JSON.stringify(directory)}, path: '/bin/sh',
        args: ['-c', 'echo $$ > child; kill -KILL $PPID; exec sleep 60'], cwd: ${JSON.stringify(directory)} });`;
    expect((await run(process.execPath, ['--input-type=module', '-e', source])).code).not.toBe(0);
    await expect.poll(written('child')).toBe(true);
    await expect.poll(() => alive(pidIn('child')), { timeout: 5_000 }).toBe(false);
  });
});

describe('free ports', () => {
  it('are never given twice and lie below those of outgoing connections', async () => {
    const ports = await Promise.all(Array.from({ length: 50 }, freePort));
    expect(new Set(ports).size).toBe(50);
    expect(Math.max(...ports)).toBeLessThan(32_768);
  });

  it('come from the part that is named, and a part that is none is refused', async () => {
    vi.stubEnv('FOOTHOLD_PORTS', '15100-15199');
    const ports = await Promise.all(Array.from({ length: 20 }, freePort));
    expect(ports.filter((port) => port < 15_100 || port > 15_199)).toEqual([]);
    for (const wrong of ['', '15100', '15199-15100', '80-90', '30000-40000', 'some']) {
      vi.stubEnv('FOOTHOLD_PORTS', wrong);
      await expect(freePort()).rejects.toThrow('expected FOOTHOLD_PORTS');
    }
    vi.unstubAllEnvs();
  });
});
