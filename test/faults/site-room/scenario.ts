/** One seed: the real agent on a simulated machine, from the first order of the centre to the last word of the judge. */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SiteContext } from '../../../site/context.js';
import type { Agent } from '../../../site/agent.js';
import { openAgent } from '../../../site/open-agent.js';
import type { AgentOptions } from '../../../site/options.js';
import type { SiteEvent } from '../../../policies/model/report.js';
import { chanceOf, type Chance } from '../random.js';
import { Centre, EPOCH_MS, KEYS, SITE, type Order } from './centre.js';
import { abandonDatabases, books, dbFault, fillDatabase } from './database.js';
import { damageFile } from './damage.js';
import { disk, realFs } from './disk.js';
import { GoodChanges, type GoodCounts } from './good-changes.js';
import { Judge, type Known, type Sight, type Violation } from './invariants.js';
import { kill, Killed, machine } from './machine.js';
import { DRIFT_EVERY_MS, People } from './people.js';
import { planSite, type Doom, type PlannedStream, type SitePlan, type Trouble } from './plan.js';
import { dropPrograms, programs } from './programs.js';
import { BooksReader } from './read-books.js';
import { settle, time } from './time.js';
import { BAD, World } from './world.js';

export interface SiteOutcome {
  seed: number;
  faults: number;
  /** Of the commands that ended. */
  results: string[];
  /** What became of the switches to releases that are well. */
  good: GoodCounts;
  people: People['counts'];
  violations: Violation[];
  story: string[];
}

const SLACK_MS = 5_000;
/** Of trials of up to 90 s: a mark stays for a tenth of it at most, and for as long as until it is looked whether it is due. */
const FORGOTTEN_MS = 14_000;
/** How soon after a fault the books and the site must agree again: undo and journal are tried again each second. */
const CALM_AFTER_MS = 10_000;
const ASK_EVERY_MS = 20_000;
/** After the last fault, for everything to come to rest: a watch to its deadline, and the pauses between tries. */
const REST_MS = 400_000;
const SCRATCH = realFs.existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

export class SiteScenario {
  readonly plan: SitePlan;
  private readonly chance: Chance;
  private readonly root: string;
  private readonly world: World;
  private readonly centre: Centre;
  private readonly judge: Judge;
  private readonly goods: GoodChanges;
  private readonly people: People;
  private readonly reader = new BooksReader();
  private readonly story: string[] = [];
  private readonly excused = new Set<string>();
  private agent: Agent | undefined;
  private upSince: number | undefined;
  private life = 0;
  private doom: Doom | undefined;
  private dooms: Doom[];
  private counts = { step: 0, commit: 0, file: 0, fault: 0 };
  private boot = 1;
  private bootedAt = 0;
  private wallOff = 0;
  private troubleUntil = -1;
  private linkDown = 0;
  private depotAway = 0;
  private faults = 0;
  private damages = 0;
  /** Streams whose undo was begun by this process and could not be journaled. */
  private readonly unwritten = new Set<string>();
  private stopping = false;
  private clockWasSet = false;
  private crashed: string | undefined;
  private previousData: string | undefined;
  private readonly observing = new Map<string, AbortController>();

  constructor(seed: number) {
    this.plan = planSite(seed);
    this.chance = chanceOf(seed * 7 + 3);
    this.dooms = [...this.plan.dooms];
    this.root = realFs.mkdtempSync(join(SCRATCH, `foothold-sim-${seed}-`));
    realFs.mkdirSync(join(this.root, 'attic'));
    this.world = new World(join(this.root, 'disk'), chanceOf(seed * 13 + 5), this.plan.repairs);
    const releases = new Map<string, Known>();
    this.judge = new Judge({ releases, slackMs: SLACK_MS, forgottenMs: FORGOTTEN_MS });
    this.centre = new Centre((invariant, detail) => this.judge.say(invariant, detail));
    this.people = new People(this.world, this.plan.repairs, (invariant, detail) => this.judge.say(invariant, detail));
    this.goods = new GoodChanges({
      well: (digest) => wellOf(releases.get(digest)),
      refusals: (stream) => this.world.refusalsOf(stream),
      orders: () => this.centre.orders.map(({ command }) => command),
      distrustsDisk: () => insideOf(this.agent)?.storage.fault !== undefined,
      say: (invariant, detail) => this.judge.say(invariant, detail),
    });
  }

  async run(): Promise<SiteOutcome> {
    this.prepare();
    try {
      this.schedule();
      this.begin();
      const end = this.plan.faultsUntil + REST_MS;
      await this.runUntil(end);
      await this.rest(end + 2 * REST_MS);
      this.finish();
    } finally {
      this.release();
    }
    const results = this.centre.orders.flatMap(({ result }) => (result ? [result.result] : []));
    const { faults, story } = this;
    const good = this.goods.counts();
    const people = this.people.counts;
    return { seed: this.plan.seed, faults, results, good, people, violations: this.judge.violations, story };
  }

  get told(): string[] {
    return this.story;
  }

  /** The wall clock of the site. */
  wall(): number {
    return EPOCH_MS + time.now + this.wallOff;
  }

  random(): number {
    return this.chance.next();
  }

  crash(error: unknown): void {
    if (error instanceof Killed || machine.dead) return;
    this.crashed = error instanceof Error ? (error.stack ?? error.message) : String(error);
  }

  private prepare(): void {
    machine.dead = false;
    time.reset();
    dropPrograms();
    realFs.mkdirSync(this.world.root, { recursive: true });
    disk.reset(this.world.root, join(this.root, 'attic'));
    disk.refuses = (path) => this.depotAway > 0 && path.startsWith(this.world.depot);
    disk.onFault = dbFault.onFault = (what) => {
      this.faults += 1;
      this.goods.storageFailed(time.now);
      if (!/ENOSPC|SQLITE_FULL/.test(what)) this.centre.diskHasFailed = true;
      this.troubled(0);
      this.tell(what);
      machine.mayKill('fault', what);
    };
    [dbFault.mode, dbFault.failAfter, dbFault.reads] = [undefined, undefined, undefined];
    programs.of = this.world;
    machine.mayKill = (kind, name) => this.mayKill(kind, name);
    for (const { name, shape, rollouts } of this.plan.streams) {
      const stream = this.world.add(name, shape);
      for (const { version, fate, within, healthyFor } of rollouts) {
        if (stream.releases.has(version)) continue;
        const { digest } = this.world.publish(stream, version, fate, within, healthyFor);
        const well = fate === 'good' ? { well: { within, healthyFor } } : {};
        this.judge.know(digest, { stream: name, version, bad: BAD.has(fate), ...well });
      }
    }
  }

  private schedule(): void {
    for (const stream of this.plan.streams) this.scheduleStream(stream);
    for (const trouble of this.plan.troubles) time.after(trouble.at, () => this.trouble(trouble));
    time.after(this.plan.faultsUntil, () => {
      disk.once = dbFault.failAfter = disk.reads = dbFault.reads = undefined;
    });
    const ask = () => {
      this.mend();
      for (const order of this.centre.orders) if (!order.result || this.chance.in(0.1)) this.deliver(order);
      time.after(ASK_EVERY_MS, ask);
    };
    time.after(ASK_EVERY_MS, ask);
  }

  private scheduleStream({ name, rollouts }: PlannedStream): void {
    const stream = this.world.streams.get(name);
    rollouts.forEach((rollout, index) => {
      const release = stream?.releases.get(rollout.version);
      if (!release) return;
      const generation = index * 2 + 1;
      const order = (verb: 'converge' | 'revert', tries: number, at: number) =>
        time.after(at, () => {
          const made = this.centre.issue(release, rollout, {
            ...{ verb, generation: verb === 'revert' ? generation + 1 : generation, try: tries, now: time.now },
          });
          this.tell(
            `centre: ${verb} ${name} ${rollout.version} (${release.fate}), generation ${made.command.generation}, try ${tries}`,
          );
          // Lost on the way, late, or twice: the centre asks again anyway.
          if (this.chance.in(0.15)) return void (this.faults += 1);
          time.after(this.chance.in(0.3) ? this.chance.between(1, 20_000) : 5, () => this.deliver(made));
        });
      order('converge', 1, rollout.at);
      if (rollout.retryAfter !== undefined) order('converge', 2, rollout.at + rollout.retryAfter);
      if (rollout.revertAfter !== undefined) order('revert', 1, rollout.at + rollout.revertAfter);
    });
  }

  // the link
  private deliver(order: Order): void {
    const { agent, life } = this;
    if (!agent || this.linkDown > 0 || this.stopping || machine.dead) return;
    const { id } = order.command;
    const controller = new AbortController();
    this.observing.get(id)?.abort();
    this.observing.set(id, controller);
    const carry = async () => {
      await agent.door.accept(this.centre.sign(order));
      const settled = await agent.door.observe(id, controller.signal, () => undefined);
      // A result may be lost on its way: the centre asks again, and must hear the same.
      if (life !== this.life || machine.dead || this.chance.in(0.1)) return;
      if (this.centre.take(order, settled))
        this.tell(`centre: ${id} ${order.result?.result ?? ''} ${order.result?.reason?.code ?? ''}`);
      if (this.chance.in(0.3)) this.centre.record(agent.door.unacknowledged(20));
    };
    carry().catch((error: unknown) => {
      if (error instanceof Killed || machine.dead) return;
      this.tell(`the door: ${error instanceof Error ? error.message : String(error)}`);
      if (!this.inTrouble()) this.judge.say('the door answers', `${id}: ${String(error)}`);
    });
  }

  // faults
  private trouble(trouble: Trouble): void {
    this.faults += 1;
    this.tell(`fault: ${JSON.stringify({ ...trouble, at: undefined })}`);
    switch (trouble.kind) {
      case 'disk':
        return this.diskTrouble(trouble);
      case 'disk-once':
        disk.once = { fault: trouble.fault, after: trouble.after };
        return;
      case 'commit-once':
        dbFault.failAfter = trouble.after;
        return;
      case 'clock':
        this.wallOff += trouble.step;
        this.clockWasSet = true;
        return this.goods.clockSet(time.now);
      case 'link':
        this.linkDown += 1;
        for (const one of this.observing.values()) one.abort();
        return time.after(trouble.ms, () => void (this.linkDown -= 1));
      case 'depot':
        this.depotAway += 1;
        return time.after(trouble.ms, () => void (this.depotAway -= 1));
      case 'programs':
        this.world.broken.add(trouble.stream);
        this.troubled(trouble.ms);
        return time.after(trouble.ms, () => void this.world.broken.delete(trouble.stream));
      case 'duplicate': {
        const [first, ...more] = this.centre.orders;
        if (first) this.deliver(this.chance.pick([first, ...more]));
        return;
      }
      case 'person':
        return this.person(trouble.stream);
      case 'keys':
        return this.centre.rotate(time.now);
      case 'read': {
        const { after, times } = trouble;
        (trouble.of === 'file' ? disk : dbFault).reads = { after, times };
        return;
      }
      case 'hold':
        return this.hold(trouble);
      case 'drift':
        return this.drift(trouble);
    }
  }

  private diskTrouble({ fault, ms }: { fault: 'ENOSPC' | 'EIO' | 'EROFS'; ms: number }): void {
    this.troubled(ms);
    this.goods.storageFailing(time.now, true);
    disk.fault = dbFault.mode = fault;
    if (fault === 'ENOSPC') this.safely(() => fillDatabase(true));
    time.after(ms, () => {
      disk.fault = dbFault.mode = undefined;
      this.goods.storageFailing(time.now, false);
      this.safely(() => fillDatabase(false));
      this.tell('the disk is well again');
    });
  }

  /** Once the disk is well, a person says so: all that is kept is read back, and commands are taken again. */
  private mend(): void {
    const { agent, life } = this;
    if (!agent || machine.dead || this.stopping || !this.centre.diskHasFailed) return;
    if (disk.fault !== undefined || dbFault.mode !== undefined) return;
    agent.mended({ by: 'kari', reason: 'another disk' }).then(
      ({ read }) => {
        if (life !== this.life) return;
        this.unmended = undefined;
        if (read > 0) this.tell(`a person says that the disk is mended: ${read} read back`);
      },
      (error: unknown) => {
        if (error instanceof Killed || machine.dead || life !== this.life) return;
        this.unmended = String(error);
        this.tell(`a person says that the disk is mended, in vain: ${this.unmended}`);
      },
    );
  }

  private person(stream: string): void {
    if (!this.agent || machine.dead || this.stopping) return;
    try {
      this.agent.revert(stream, { by: 'kari', reason: 'sparks' });
      this.goods.askedByPerson(stream, time.now);
      this.tell(`a person undoes ${stream}`);
    } catch (error) {
      this.tell(`a person: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  private hold(trouble: Extract<Trouble, { kind: 'hold' }>): void {
    const { stream = '', ms, ends } = trouble;
    this.atSite(`a person holds ${stream}`, (agent) => this.people.hold(agent, time.now, trouble));
    if (ends === 'by time') return;
    const lift = () => {
      if (!this.atSite(`a person unholds ${stream}`, (agent) => this.people.unhold(agent, stream)))
        time.after(ASK_EVERY_MS, lift);
    };
    time.after(ms, lift);
  }

  /** False if there was nobody to ask, or no answer. */
  private atSite(what: string, work: (agent: Agent) => void): boolean {
    if (!this.agent || machine.dead || this.stopping) return false;
    try {
      work(this.agent);
      this.tell(what);
      return true;
    } catch (error) {
      this.tell(`${what}, in vain: ${error instanceof Error ? error.message : String(error)}`);
      return false;
    }
  }

  private drift({ stream, what }: Extract<Trouble, { kind: 'drift' }>): void {
    const path = this.people.drift(stream, what, time.now);
    if (path === undefined) return;
    this.tell(`somebody writes ${path.slice(this.world.root.length)}`);
    if (what !== 'filler') return;
    this.judge.damaged(stream);
    this.goods.damaged(stream, time.now);
    this.damages += 1;
    if (this.damages > 1) this.excuseAll();
  }

  private troubled(ms: number): void {
    this.troubleUntil = Math.max(this.troubleUntil, time.now + ms + CALM_AFTER_MS);
  }

  private excuseAll(): void {
    for (const { name } of this.plan.streams) this.excused.add(name);
  }

  private inTrouble(): boolean {
    return time.now < this.troubleUntil;
  }

  // the process
  private mayKill(kind: 'step' | 'commit' | 'file' | 'fault', name: string): void {
    if (this.doom?.at.kind !== kind || time.now > this.plan.faultsUntil) return;
    const { nth, after } = this.doom.at;
    if (kind === 'commit' && (name === 'after') !== after) return;
    if (++this.counts[kind] < nth) return;
    this.tell(`killed at ${kind} ${name}`);
    kill();
  }

  private begin(): void {
    this.life += 1;
    const { life } = this;
    machine.dead = false;
    this.reader.reset();
    [this.counts, this.doom] = [{ step: 0, commit: 0, file: 0, fault: 0 }, this.nextDoom()];
    const { doom } = this;
    if (doom?.at.kind === 'time') time.after(doom.at.ms, () => this.end(life, doom));
    this.tell(`the agent starts (boot ${this.boot})`);
    const opening = async () => {
      const agent = await openAgent(this.options());
      if (disk.fault === 'ENOSPC') fillDatabase(true);
      await agent.start();
      if (life !== this.life || machine.dead) return;
      [this.agent, this.upSince] = [agent, time.now];
    };
    opening().catch((error: unknown) => {
      if (error instanceof Killed || machine.dead) return;
      this.crash(error);
    });
  }

  private nextDoom(): Doom | undefined {
    return time.now < this.plan.faultsUntil ? this.dooms.shift() : undefined;
  }

  private options(): AgentOptions {
    const nothing = () => undefined;
    const warn = (detail: object, message: string) => {
      this.tell(`log: ${message} ${JSON.stringify(detail).slice(0, 300)}`);
      if (message.startsWith('the undo could not be journaled') && 'stream' in detail)
        this.unwritten.add(String(detail.stream));
      // What is undone by a copy of the books is in no books that last.
      if (message.includes('guarding from a copy')) for (const { name } of this.plan.streams) this.unwritten.add(name);
    };
    return {
      site: SITE,
      dataDirectory: this.world.data,
      controlKeysPem: [KEYS[0].public],
      ...(this.plan.troubles.some(({ kind }) => kind === 'drift') ? { driftEveryMs: DRIFT_EVERY_MS } : {}),
      depot: this.world.depot,
      log: { debug: nothing, info: nothing, warn, error: warn },
      clock: {
        now: () => this.wall(),
        elapsed: () => time.now - this.bootedAt,
        bootId: () => `boot-${this.boot}`,
      },
      onStep: (step) => {
        if (machine.dead) throw new Killed();
        this.look(step === 'switching');
        machine.mayKill('step', step);
      },
    };
  }

  /** The end of a process that was not killed at an instant of its own. */
  private end(life: number, doom: Doom): void {
    if (life !== this.life || machine.dead || this.stopping || time.now > this.plan.faultsUntil) return;
    const { agent } = this;
    if (doom.how !== 'stop' || !agent) {
      machine.dead = true;
      return;
    }
    this.stopping = true;
    agent.stop().then(
      () => (machine.dead = true),
      (error: unknown) => this.crash(error),
    );
  }

  /** Everything of the dead process is gone; the machine does what the doom says, and starts another. */
  private bury(): void {
    const doom = this.doom;
    const wasUp = this.agent !== undefined && !this.stopping;
    this.faults += doom ? 1 : 0;
    [this.agent, this.upSince, this.stopping] = [undefined, undefined, false];
    this.observing.clear();
    for (const stream of this.unwritten) {
      this.judge.unsureUntilUp(stream);
      // Known (docs/faults.md): where only programs say what is live, and the fault of the disk could not be kept either.
      if (this.world.streams.get(stream)?.shape === 'exec') this.judge.unsure(stream);
    }
    this.unwritten.clear();
    time.dropAgentTimers();
    dropPrograms();
    disk.closeAll();
    const cut = doom?.how === 'cut' && this.crashed === undefined;
    const torn = cut
      ? Buffer.from(Array.from({ length: this.chance.between(0, 3_000) }, () => this.chance.between(0, 255)))
      : undefined;
    abandonDatabases(this.world.data, torn);
    if (this.crashed !== undefined) return this.buryCrashed(wasUp);
    if (cut) for (const lost of disk.cut(this.chance)) this.tell(`lost in the power cut: ${lost}`);
    if (doom?.how === 'cut' || doom?.how === 'reboot') this.reboot();
    this.wallOff += doom?.wallStep ?? 0;
    if (doom?.wallStep) this.goods.clockSet(time.now);
    if (doom?.wallStep || this.clockWasSet) this.people.rebootedWithAnotherClock();
    if (doom?.damage) this.damage(doom.damage);
    if (doom?.restore === true && this.previousData !== undefined) this.restore(this.previousData);
    else this.keepData();
    this.tell(`down for ${doom?.downMs ?? 1_000} ms after ${doom?.how ?? 'its end'}`);
    time.after(doom?.downMs ?? 1_000, () => this.begin());
  }

  private buryCrashed(wasUp: boolean): void {
    const detail = (this.crashed ?? '').split('\n').slice(0, 9).join(' ');
    this.tell(`THE PROCESS ENDED BY ITSELF: ${detail}`);
    // A supervisor starts it again. Only an agent that cannot even start for its disk may end by itself.
    if (wasUp || !this.inTrouble()) this.judge.say('the process does not end by itself', detail);
    this.crashed = undefined;
    time.after(1_000, () => this.begin());
  }

  private reboot(): void {
    this.boot += 1;
    this.goods.rebooted();
    this.bootedAt = time.now + (this.doom?.downMs ?? 0);
    if (!this.plan.battery) {
      this.wallOff = -EPOCH_MS - this.bootedAt;
      this.goods.clockSet(time.now);
    }
    this.world.rebooted();
  }

  private damage(how: 'flip' | 'shorten'): void {
    const hit = damageFile(this.world, how, this.chance);
    if (!hit) return;
    this.world.touched();
    const [, , kind = '', stream = ''] = hit.slice(this.world.root.length).split('/');
    this.tell(`${how}: ${hit.slice(this.world.root.length)}`);
    if (kind === 'releases') this.judge.damaged(stream);
    if (kind === 'releases') this.goods.damaged(stream, time.now);
    // Of saved state there is one copy; of files two, and one of them was spared.
    if (kind === 'saved' || this.damages > 0) this.excuseAll();
    this.damages += 1;
  }

  private keepData(): void {
    if (!this.plan.dooms.some((one) => one.restore) || !realFs.existsSync(this.world.data)) return;
    const copy = join(this.root, `data-of-life-${this.life}`);
    realFs.cpSync(this.world.data, copy, { recursive: true, verbatimSymlinks: true });
    this.previousData = copy;
  }

  private restore(from: string): void {
    this.tell('an older data directory is put back');
    this.world.touched();
    realFs.rmSync(this.world.data, { recursive: true, force: true });
    realFs.cpSync(from, this.world.data, { recursive: true, verbatimSymlinks: true });
    this.centre.forked = true;
    this.reader.forget();
    this.goods.restored();
    this.people.restored();
    this.judge.restored(this.plan.streams.map(({ name }) => name));
    this.troubled(0);
  }

  // running
  private async runUntil(end: number): Promise<void> {
    for (;;) {
      await settle();
      if (this.crashed !== undefined) machine.dead = true;
      if (machine.dead && this.upOrStarting()) {
        await settle();
        this.bury();
        continue;
      }
      this.look(false);
      if (!time.advance(end)) return;
    }
  }

  private unmended: string | undefined;
  private buried = 0;
  private upOrStarting(): boolean {
    if (this.buried === this.life) return false;
    this.buried = this.life;
    return true;
  }

  /** A seed whose last life ended late gets its time to come to rest as well. */
  private async rest(latest: number): Promise<void> {
    this.dooms = [];
    while (this.centre.orders.some((order) => !order.result) && time.now < latest) {
      await this.runUntil(time.now + ASK_EVERY_MS);
    }
  }

  private look(switching: boolean): void {
    if (machine.dead || !books.db || books.db.inTransaction) return;
    const read = this.reader.read();
    if (!read) return;
    for (const event of read.fresh) this.tell(`site: ${wordsOf(event)}`);
    // SQLite has synced a file in the data directory: with it, the directory's own entry is on disk.
    if (read.fresh.length > 0) disk.settled(this.world.root);
    const sight: Sight = {
      ...{ at: time.now, books: read, live: this.world.shown(), trouble: this.inTrouble() },
      ...{ bootedAt: this.bootedAt, upSince: this.upSince, switching },
    };
    this.judge.see(sight);
    this.goods.see(sight);
    this.people.see(sight);
  }

  private finish(): void {
    const read = books.db && !machine.dead ? this.reader.read() : undefined;
    if (!read) return this.judge.say('the agent runs at the end', `life ${this.life}`);
    const sight = {
      at: time.now,
      books: read,
      live: this.world.shown(),
      trouble: false,
      bootedAt: this.bootedAt,
      upSince: this.upSince,
      switching: false,
    };
    this.judge.end(sight, this.excused);
    this.goods.see(sight);
    this.people.see(sight);
    this.people.end(sight, (stream) => this.isQuiet(sight, stream));
    this.goods.end(sight, (stream) => this.judge.isDoubtful(stream));
    for (const { command, result } of this.centre.orders) {
      // Damage of which no copy is whole keeps a failed disk from being believed, and with it every command.
      if (!result && this.unmended === undefined) this.judge.say('every order of the centre has a result', command.id);
    }
  }

  private isQuiet({ books: { streams } }: Sight, stream: string): boolean {
    const row = streams.find((one) => one.stream === stream);
    return row?.state === 'confirmed' && row.safeMode === undefined && this.unmended === undefined;
  }

  private release(): void {
    machine.dead = true;
    time.reset();
    dropPrograms();
    disk.closeAll();
    abandonDatabases(this.world.data, undefined);
    disk.reset('', '');
    realFs.rmSync(this.root, { recursive: true, force: true });
  }

  private safely(work: () => void): void {
    if (!machine.dead && books.db) work();
  }

  private tell(told: string): void {
    // Names of temporary files and of this run's directory differ from run to run.
    const line = told.replaceAll(this.root, '').replaceAll(/\.foothold-[0-9a-f]{8}/g, '.foothold');
    this.story.push(`${(time.now / 1_000).toFixed(3).padStart(9)} s  ${line}`);
  }
}

function wellOf(known: Known | undefined) {
  return known?.well && { version: known.version, ...known.well };
}

function wordsOf({ sequence, kind, stream, commandId, result, detail }: SiteEvent) {
  const reason = (detail['reason'] as { code?: string } | undefined)?.code ?? '';
  return `#${sequence} ${kind} ${stream ?? ''} ${commandId ?? ''} ${reason}${result ? ` → ${result.result}` : ''}`;
}

function insideOf(agent: Agent | undefined): SiteContext | undefined {
  return (agent as unknown as { context: SiteContext } | undefined)?.context;
}
