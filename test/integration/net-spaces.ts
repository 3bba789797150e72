/**
 * A site, the way to it and the centre in network namespaces of their own: packets are lost for real, by a router that
 * drops them or a cable that is pulled. Root only; nothing outside these namespaces is changed or reached.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer, connect, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { startProcess, type RunningProcess } from '../../infra/dev/process.js';

const ADDRESS = { site: '10.77.1.2', centre: '10.77.2.2' } as const;
const ROUTER = { site: '10.77.1.1', centre: '10.77.2.1' } as const;
type End = keyof typeof ADDRESS;
const ENDS: End[] = ['site', 'centre'];
/** Where packets of each direction leave for the site's cable. */
const SITES_WAY = [
  ['way', 'site'],
  ['site', 'eth0'],
] as const;
/** Where they leave the router: whoever sent a packet that is lost there is not told, as it would be of one lost at its own end. */
const ROUTERS_WAY = [
  ['way', 'site'],
  ['way', 'centre'],
] as const;

/** What a run that was killed could not remove. */
function clearLeftBehind(): void {
  const names = execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' }).match(/^fhns\d+[a-z]*-\w+/gm) ?? [];
  for (const name of names) {
    const pid = /\d+/.exec(name)?.[0] ?? '';
    if (!existsSync(`/proc/${pid}`)) execFileSync('ip', ['netns', 'del', name], { stdio: 'pipe' });
  }
}

/** Why these tests are skipped, or undefined. */
export function whyNoSpaces(): string | undefined {
  if (process.getuid?.() !== 0) return 'only root may make network namespaces';
  try {
    clearLeftBehind();
    new NetSpaces(`fhns${process.pid}try`).clear();
    return undefined;
  } catch (error) {
    return `no network namespace with a cable can be made here: ${String(error)}`;
  }
}

/** Why nothing can be lost by chance here, or undefined. */
export function whyNoChance(): string | undefined {
  const spaces = new NetSpaces(`fhns${process.pid}try`);
  try {
    spaces.narrowAndLossy(1_500_000, 0.02);
    return undefined;
  } catch (error) {
    return `no packets can be lost by chance here: ${String(error)}`;
  } finally {
    spaces.clear();
  }
}

export class NetSpaces {
  private readonly servers: Server[] = [];
  private readonly sockets = new Set<Socket>();
  private readonly forwarders: RunningProcess[] = [];

  /** `prefix` keeps the names of several apart. */
  constructor(private readonly prefix = `fhns${process.pid}`) {
    try {
      this.make();
    } catch (error) {
      this.clear();
      throw error;
    }
  }

  /** What a command is begun with to run at this end. */
  at(end: End): string[] {
    return ['ip', 'netns', 'exec', this.space(end)];
  }

  /**
   * Where `target` of this machine is reached from the site. Between the namespaces and the machine there is a socket in
   * the file system, which knows of no network.
   */
  async publish(target: string, port: number, directory: string): Promise<string> {
    const path = join(directory, `${port}.sock`);
    const [host = '', targetPort] = target.split(':');
    const server = createServer((socket) => this.join(socket, connect(Number(targetPort), host)));
    await new Promise<void>((resolve) => server.listen(path, resolve));
    this.servers.push(server);
    const script = `require('net').createServer((one) => {
      const other = require('net').connect(${JSON.stringify(path)});
      for (const socket of [one, other]) { socket.on('error', () => {}); socket.on('close', () => { one.destroy(); other.destroy(); }); }
      one.pipe(other).pipe(one);
    }).listen(${port}, '${ADDRESS.centre}');`;
    const [program = '', ...args] = [...this.at('centre'), process.execPath, '-e', script];
    this.forwarders.push(await startProcess({ name: `forward-${port}`, directory, path: program, args }));
    return `${ADDRESS.centre}:${port}`;
  }

  /** The cable of the site: nothing is told to either end but that there is no carrier at the site. */
  plug(state: 'up' | 'down'): void {
    this.ip('way', 'link', 'set', 'site', state);
  }

  /** Packets to this end vanish on the way; the other direction passes. */
  lose(to: End): void {
    this.ip('way', 'route', 'add', 'blackhole', `${ADDRESS[to]}/32`);
  }

  find(to: End): void {
    this.ip('way', 'route', 'del', 'blackhole', `${ADDRESS[to]}/32`);
  }

  /** Packets from the centre that are larger vanish, and nobody is told: a black hole. */
  passAtMost(bytes: number): void {
    this.ip('way', 'link', 'set', 'centre', 'mtu', String(bytes));
  }

  /** Each direction brings so much from now on; what does not fit queues. */
  narrow(bitsPerSecond: number): void {
    const shape = ['tbf', 'rate', `${bitsPerSecond}bit`, 'burst', '1600', 'latency', '60s'];
    for (const [name, device] of SITES_WAY)
      this.within(name, 'tc', 'qdisc', 'replace', 'dev', device, 'root', ...shape);
  }

  /** Each direction brings so much, and loses this share of its packets by chance, whatever they are. */
  narrowAndLossy(bitsPerSecond: number, share: number): void {
    // A program of the kernel's packet filter: load a random number of 32 bits; if it is greater, 0 (no match), else -1 (this class).
    const most = Math.floor(share * 2 ** 32);
    const byChance = `4,32 0 0 4294963256,37 1 0 ${most},6 0 0 4294967295,6 0 0 0`;
    const rate = ['htb', 'rate', `${bitsPerSecond}bit`];
    for (const [name, device] of ROUTERS_WAY) {
      const tc = (what: string, ...args: string[]) => this.within(name, 'tc', what, 'replace', 'dev', device, ...args);
      tc('qdisc', 'root', 'handle', '1:', 'htb', 'default', '10');
      tc('class', 'parent', '1:', 'classid', '1:10', ...rate);
      tc('class', 'parent', '1:', 'classid', '1:20', ...rate);
      // A queue in which no packet has room.
      tc('qdisc', 'parent', '1:20', 'handle', '20:', 'bfifo', 'limit', '1');
      tc('filter', 'parent', '1:', 'bpf', 'bytecode', byChance, 'flowid', '1:20');
    }
  }

  /** Since `narrowAndLossy`, in each direction: packets that were lost by chance, and all that came. */
  lostByChance(): { lost: number; of: number }[] {
    return ROUTERS_WAY.map(([name, device]) => {
      const shown = this.within(name, 'tc', '-s', 'qdisc', 'show', 'dev', device);
      const [, sent = 0, lost = 0] = (/htb 1:.*\n Sent \d+ bytes (\d+) pkt \(dropped (\d+)/.exec(shown) ?? []).map(
        Number,
      );
      return { lost, of: sent + lost };
    });
  }

  /** After either of them, also where it came only half way: as much as ever. */
  widen(): void {
    for (const [name, device] of [...SITES_WAY, ...ROUTERS_WAY]) {
      this.within(name, 'tc', 'qdisc', 'replace', 'dev', device, 'root', 'noqueue');
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.forwarders.map((forwarder) => forwarder.stop()));
    for (const socket of this.sockets) socket.destroy();
    for (const server of this.servers) server.close();
    this.clear();
  }

  /** Whatever there is of them. With a namespace its ends of the cables go too. */
  clear(): void {
    for (const name of [...ENDS, 'way'] as const) {
      try {
        execFileSync('ip', ['netns', 'del', this.space(name)], { stdio: 'pipe' });
      } catch {
        // not there
      }
    }
  }

  private make(): void {
    for (const name of [...ENDS, 'way'] as const) {
      execFileSync('ip', ['netns', 'add', this.space(name)], { stdio: 'pipe' });
      this.ip(name, 'link', 'set', 'lo', 'up');
    }
    for (const end of ENDS) {
      // Made inside, so that the machine never has an end of it.
      this.ip('way', 'link', 'add', end, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', this.space(end));
      this.ip('way', 'address', 'add', `${ROUTER[end]}/24`, 'dev', end);
      this.ip(end, 'address', 'add', `${ADDRESS[end]}/24`, 'dev', 'eth0');
      // One packet at a time, else a bundle of them passes whatever is too large for the way.
      this.ip('way', 'link', 'set', end, 'up', 'gso_max_segs', '1');
      this.ip(end, 'link', 'set', 'eth0', 'up', 'gso_max_segs', '1');
      this.ip(end, 'route', 'add', 'default', 'via', ROUTER[end]);
    }
    const forward = 'echo 1 > /proc/sys/net/ipv4/ip_forward';
    this.within('way', 'sh', '-c', forward);
  }

  private join(one: Socket, other: Socket): void {
    for (const socket of [one, other]) {
      this.sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.sockets.delete(socket);
        one.destroy();
        other.destroy();
      });
    }
    one.pipe(other).pipe(one);
  }

  private space(name: End | 'way'): string {
    return `${this.prefix}-${name}`;
  }

  private within(space: End | 'way', ...command: string[]): string {
    return execFileSync('ip', ['netns', 'exec', this.space(space), ...command], { stdio: 'pipe', encoding: 'utf8' });
  }

  private ip(space: End | 'way', ...args: string[]): void {
    execFileSync('ip', ['-n', this.space(space), ...args], { stdio: 'pipe' });
  }
}
