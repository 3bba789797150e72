/**
 * Rows H2, H10 and H13 of docs/faults.md: a real agent process in the middle of a change is stopped for longer than its
 * deadline, killed for want of memory, killed at every start, and left a twentieth of a core.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Result, Settled } from '../../policies/model/command.js';
import { directoryRelease, resultOf, TestSite } from '../site/test-site.js';
import { buildRooms, dropRooms } from './site-process.js';

/** By the machine's own clocks. Tells every step as a line; at one of them it stops itself, or eats all the memory there is. */
const RUN = `
import { openAgent } from './site/open-agent.js';
const { envelope, commandId, stopAt, eatAt, ...options } = JSON.parse(process.argv[2]);
const nothing = () => undefined;
const say = (line) => process.stdout.write(line + '\\n');
const agent = await openAgent({
  ...options,
  log: { debug: nothing, info: nothing, warn: nothing, error: nothing },
  onStep: (step) => {
    say(step);
    if (step === stopAt) process.kill(process.pid, 'SIGSTOP');
    for (const eaten = []; step === eatAt;) eaten.push(Buffer.alloc(2 ** 24, 1));
  },
});
await agent.start();
say('started ' + Object.values((await agent.report()).streams).map((stream) => stream.state));
if (envelope) await agent.door.accept(envelope);
say('settled ' + JSON.stringify(await agent.door.observe(commandId, AbortSignal.timeout(20000), nothing)));
await agent.stop();
process.exit(0);
`;

let out: string;
const running = new Set<ChildProcess>();
const sites: TestSite[] = [];
beforeAll(() => {
  out = buildRooms();
  writeFileSync(join(out, 'crash.js'), RUN);
});
afterAll(() => dropRooms(out));
afterEach(async () => {
  for (const child of running) child.kill('SIGKILL');
  for (const site of sites.splice(0)) await site.clear();
});

interface Order {
  envelope?: unknown;
  commandId: string;
  stopAt?: string;
  eatAt?: string;
}

/** The agent as a process of its own, and what it says. */
class Running {
  readonly ended: Promise<NodeJS.Signals | null>;
  private readonly said: string[] = [];
  private heard = () => undefined as void;

  /** `groups`: files of control groups that it enters first. */
  constructor(site: TestSite, order: Order, groups: string[] = []) {
    const enter = groups.map((group) => `echo $$ > ${group}/cgroup.procs && `).join('');
    const args = [process.execPath, join(out, 'crash.js'), JSON.stringify({ ...site.options(), ...order })];
    this.child = spawn('/bin/sh', ['-c', `${enter}exec "$@"`, 'sh', ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    running.add(this.child);
    this.ended = new Promise((resolve) =>
      this.child.on('close', (_code, signal) => {
        running.delete(this.child);
        resolve(signal);
        this.heard();
      }),
    );
    createInterface({ input: this.child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      this.said.push(line);
      this.heard();
    });
  }
  readonly child: ChildProcess;

  /** The first line that begins with it. */
  async says(begin: string): Promise<string> {
    for (;;) {
      const line = this.said.find((one) => one.startsWith(begin));
      if (line !== undefined) return line;
      if (!running.has(this.child)) throw new Error(`ended, having said ${this.said.join(', ')}`);
      await new Promise<void>((resolve) => (this.heard = resolve));
    }
  }

  async result(): Promise<Result> {
    const line = await this.says('settled ');
    await this.ended;
    return resultOf(JSON.parse(line.slice('settled '.length)) as Settled);
  }
}

function openSite(): TestSite {
  const site = new TestSite();
  sites.push(site);
  site.write('live/conf/page', 'healthy original');
  return site;
}
const pageOf = (site: TestSite) => readFileSync(site.path('live', 'conf', 'page'), 'utf8');

/** A release on its way to the site. */
function ordered(site: TestSite, change: Record<string, unknown>, page = 'healthy 1'): Order {
  const one = site.publish(directoryRelease(site, '1.0.0', change), { 'files/page': page });
  const command = site.command(one);
  return { envelope: site.sign(command), commandId: command.id };
}

describe('H2: a process that is stopped (SIGSTOP) in mid-change', () => {
  const WITHIN_MS = 1_000;
  const confirm = { within: `${WITHIN_MS}ms`, healthyFor: '800ms' };

  it('[A32] for longer than its deadline: the time counts, and it undoes at once when it goes on, wherever it stood', async () => {
    const stops = ['switching', 'activated', 'watching'].map(async (stopAt) => {
      const site = openSite();
      const agent = new Running(site, { ...ordered(site, { confirm }), stopAt });
      await agent.says(stopAt);
      await sleep(1.5 * WITHIN_MS);
      expect(pageOf(site)).toBe(stopAt === 'switching' ? 'healthy original' : 'healthy 1');
      const began = performance.now();
      agent.child.kill('SIGCONT');
      await agent.says('reverted-all');
      const took = performance.now() - began;
      expect(await agent.result()).toMatchObject({
        ...{ result: 'reverted', cause: 'deadline', reason: { code: 'DEADLINE_PASSED' } },
      });
      expect([stopAt, pageOf(site)]).toEqual([stopAt, 'healthy original']);
      expect(took).toBeLessThan(WITHIN_MS);
    });
    await Promise.all(stops);
  });

  it('for less than that: it goes on, and is confirmed', async () => {
    const site = openSite();
    const change = { confirm: { within: '10s', healthyFor: '800ms' } };
    const agent = new Running(site, { ...ordered(site, change), stopAt: 'watching' });
    await agent.says('watching');
    await sleep(600);
    agent.child.kill('SIGCONT');
    expect(await agent.result()).toMatchObject({ result: 'confirmed' });
    expect(pageOf(site)).toBe('healthy 1');
  });
});

describe('H10: a process that is killed at every start of a trial', () => {
  it('[A32] goes on watching twice; the third start undoes, before anything else', async () => {
    const site = openSite();
    const order = ordered(site, { confirm: { within: '1m', healthyFor: '30s' } });
    const { commandId } = order;
    for (const [life, says] of ['watching', 'started watching', 'started watching'].entries()) {
      const agent = new Running(site, life === 0 ? order : { commandId });
      await agent.says(says);
      expect(pageOf(site)).toBe('healthy 1');
      agent.child.kill('SIGKILL');
      expect(await agent.ended).toBe('SIGKILL');
    }
    const third = new Running(site, { commandId });
    await third.says('started reverted');
    expect(pageOf(site)).toBe('healthy original');
    expect(await third.result()).toMatchObject({ result: 'reverted', cause: 'boot', reason: { code: 'RESTARTS' } });
  });
});

const GROUPS = '/sys/fs/cgroup';
const usable =
  process.getuid?.() === 0 && ['memory', 'cpu'].every((one) => existsSync(join(GROUPS, one, 'cgroup.procs')));
const why = usable ? '' : ' (skipped without root and control groups of version 1)';

/** A control group of its own, gone with the test. */
async function within<T>(controller: string, limits: Record<string, number>, work: (group: string) => Promise<T>) {
  const group = join(GROUPS, controller, `foothold-crash-${process.pid}`);
  mkdirSync(group);
  try {
    for (const [name, limit] of Object.entries(limits)) writeFileSync(join(group, name), String(limit));
    return await work(group);
  } finally {
    for (const child of running) child.kill('SIGKILL');
    while (readFileSync(join(group, 'cgroup.procs'), 'utf8') !== '') await sleep(10);
    rmdirSync(group);
  }
}

describe.skipIf(!usable)(`H2: a process that the kernel kills for want of memory${why}`, () => {
  it.each([
    ['activated', 'healthy 1', { result: 'reverted', reason: { code: 'CRASH_IN_SWITCH' } }],
    ['watching', 'healthy 1', { result: 'confirmed' }],
    ['reverting', 'broken', { result: 'reverted', reason: { code: 'CHECK_FAILED' } }],
  ])('[A32] at %s: the next one ends it, once', async (eatAt, page, result) => {
    await within('memory', { 'memory.limit_in_bytes': 256 * 2 ** 20 }, async (group) => {
      const site = openSite();
      const order = ordered(site, { confirm: { within: '20s', healthyFor: '100ms' } }, page);
      const killed = new Running(site, { ...order, eatAt }, [group]);
      expect(await killed.ended).toBe('SIGKILL');
      expect(readFileSync(join(group, 'memory.oom_control'), 'utf8')).toMatch(/^oom_kill [1-9]/m);
      const next = new Running(site, { commandId: order.commandId });
      expect(await next.result()).toMatchObject(result);
      expect(pageOf(site)).toBe(result.result === 'confirmed' ? 'healthy 1' : 'healthy original');
    });
  });
});

describe.skipIf(!usable)(`H13: an agent that is left a twentieth of a core${why}`, () => {
  const EVERY_MS = 500;
  /** Of the processor in 100 ms. */
  const SHARE_US = 5_000;
  /** Beyond its deadline, or its check's period: measured, some 50 ms. */
  const LATE_MS = 3_000;
  const flag = (site: TestSite) => site.path('sick');
  const well = (site: TestSite) => ({ name: 'well', exec: ['/usr/bin/test', '!', '-e', flag(site)], failures: 1 });
  const never = { name: 'never', exec: ['false'], failures: 1_000 };

  it.each(['check', 'deadline'])('[A32] undoes all the same, by its %s', async (cause) => {
    await within('cpu', { 'cpu.cfs_period_us': 100_000 }, async (group) => {
      const site = openSite();
      const byCheck = cause === 'check';
      const agent = new Running(
        site,
        ordered(site, {
          checks: [{ ...(byCheck ? well(site) : never), every: `${EVERY_MS}ms` }],
          confirm: { within: byCheck ? '1m' : '2s', healthyFor: byCheck ? '50s' : '0s' },
          alreadySick: 'proceed',
        }),
        [group],
      );
      await agent.says('watching');
      const switchedAt = performance.now();
      writeFileSync(join(group, 'cpu.cfs_quota_us'), String(SHARE_US));
      await sleep(2.2 * EVERY_MS);
      writeFileSync(flag(site), '');
      const due = byCheck ? performance.now() + EVERY_MS : switchedAt + 2_000;
      await agent.says('reverted-all');
      const late = performance.now() - due;
      console.log(`H13: undone by its ${cause} ${Math.round(late)} ms after it was due, with a twentieth of a core`);
      expect(pageOf(site)).toBe('healthy original');
      expect(late).toBeLessThan(LATE_MS);
      expect(readFileSync(join(group, 'cpu.stat'), 'utf8')).toMatch(/^nr_throttled [1-9]/m);
      writeFileSync(join(group, 'cpu.cfs_quota_us'), '-1');
      expect(await agent.result()).toMatchObject({ result: 'reverted', cause });
    });
  });
});
