/** Programs and addresses of a simulated site: what `spawn` and `http.request` reach, with delays in virtual time. */
import childProcess from 'node:child_process';
import { EventEmitter } from 'node:events';
import http from 'node:http';
import { syncBuiltinESMExports } from 'node:module';
import { machine } from './machine.js';
import { time } from './time.js';

export const realSpawn = childProcess.spawn;
export const realFork = childProcess.fork;

/** What a program will do: `act` runs at its end, unless it was killed before; `undefined`: it never ends. */
export interface Program {
  ms: number | undefined;
  act: () => { exit: number; says?: string };
}

export interface Programs {
  run(argv: string[], call: { cwd: string; env: Record<string, string | undefined> }): Program;
  answer(address: string): { ms: number | undefined; status: number };
}

/** Of the seed under way. */
export const programs: { of: Programs | undefined } = { of: undefined };
const running = new Map<number, SimChild>();
let lastPid = 1_000_000_000;

class SimChild extends EventEmitter {
  readonly pid = ++lastPid;
  readonly stdout = pipe();
  readonly stderr = pipe();

  begin(program: Program): void {
    running.set(this.pid, this);
    if (program.ms === undefined) return;
    time.add('agent', program.ms, () => {
      if (!running.delete(this.pid)) return;
      const { exit, says } = program.act();
      if (says !== undefined) this.stderr.emit('data', Buffer.from(says));
      this.emit('exit', exit, null);
      this.emit('close', exit, null);
    });
  }

  die(): void {
    if (!running.delete(this.pid)) return;
    this.emit('exit', null, 'SIGKILL');
    this.emit('close', null, 'SIGKILL');
  }
}

function pipe() {
  return Object.assign(new EventEmitter(), { destroy: () => undefined, setEncoding: () => undefined });
}

/** The agent's control group dies with it: nothing that it started acts afterwards. */
export function dropPrograms(): void {
  running.clear();
}

function spawn(command: string, args: string[], options: { cwd: string; env: Record<string, string> }) {
  const child = new SimChild();
  if (machine.dead || !programs.of) return child;
  child.begin(programs.of.run([command, ...args], options));
  return child;
}

function request(url: URL, ...rest: unknown[]) {
  const onAnswer = rest.find((one) => typeof one === 'function') as ((answer: EventEmitter) => void) | undefined;
  const call = Object.assign(new EventEmitter(), {
    destroyed: false,
    destroy: () => void (call.destroyed = true),
    setTimeout: () => call,
    end: () => call,
  });
  const { ms, status } = programs.of?.answer(String(url)) ?? { ms: undefined, status: 0 };
  if (machine.dead || ms === undefined) return call;
  time.add('agent', ms, () => {
    if (call.destroyed) return;
    if (status === 0) return void call.emit('error', new Error('connect ECONNREFUSED'));
    const answer = Object.assign(new EventEmitter(), { statusCode: status, headers: {}, destroy: () => undefined });
    onAnswer?.(answer);
    call.emit('response', answer);
    answer.emit('end');
  });
  return call;
}

/** For good. */
export function patchPrograms(): void {
  Object.assign(childProcess, { spawn });
  Object.assign(http, { request });
  const realKill = process.kill.bind(process);
  process.kill = (pid: number, signal?: string | number) => {
    const child = running.get(Math.abs(pid));
    if (child === undefined && Math.abs(pid) >= 1_000_000_000) throw new Error('kill ESRCH');
    if (child === undefined) return realKill(pid, signal);
    child.die();
    return true;
  };
  syncBuiltinESMExports();
}
