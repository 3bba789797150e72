/**
 * A link that can fail: a TCP relay which passes everything until it is told otherwise. Cut, it reads from neither side
 * and connects no one, as when packets vanish: no reset, no refusal, nobody is told. What was on its way then goes on
 * once the link is back, as TCP's retransmission would bring it; dropping bytes out of a stream would corrupt it, which
 * no network does. Nor does it lose acknowledgements: whoever writes into it is told by its own kernel that the bytes
 * arrived (docs/faults.md says which tests lose packets instead).
 */
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { CLEAR, Lane, Pipe, type Passage } from './relay-link.js';

/** `up` is towards the target. */
export type Direction = 'up' | 'down';

export type LinkFault =
  /** Nothing passes, in both directions or only in this one; either way nobody can connect. */
  | { kind: 'drop'; direction?: Direction }
  /** So many bytes a second in each direction, all connections together, and so much later: half in each direction. */
  | { kind: 'slow'; bytesPerSecond?: number; roundTripMs?: number }
  /** Whoever is connected, and whoever connects, gets a RST. */
  | { kind: 'reset' }
  /** Whoever is connected, and whoever connects, never hears a word again, not even after `restore`: the far end is gone. */
  | { kind: 'half-open' }
  /** Nothing passes for `offMs`, everything for `onMs`, and so on. */
  | { kind: 'flap'; offMs: number; onMs: number };

export interface RelayOptions {
  /** Port on 127.0.0.1; default any free one. */
  listen?: number;
  /** `host:port`. */
  target: string;
  /** Hears of every chunk that was handed on, in the order of its direction; `connection` counts from 1. */
  onPassed?: (chunk: Buffer, way: Direction, connection: number) => void;
}

export interface Relay {
  /** `127.0.0.1:<port>` */
  readonly address: string;
  readonly pid: number;
  mode(): 'pass' | LinkFault['kind'];
  /** From this instant on; takes the place of the fault before. */
  fail(fault: LinkFault): void;
  /** From this instant on nothing passes, in either direction. */
  cut(): void;
  restore(): void;
  /** Bytes handed on, both directions together, at instants from ≤ t ≤ to (epoch ms). */
  bytesBetween(from: number, to: number): number;
  stop(): Promise<void>;
}

export async function startRelay(options: RelayOptions): Promise<Relay> {
  const relay = new TcpRelay(options);
  await relay.listen(options.listen ?? 0);
  return relay;
}

/** Bounds the memory of a relay that is left running. */
const LOG_ENTRIES = 100_000;

const SHUT: Passage = { ...CLEAR, open: false };

class TcpRelay implements Relay {
  readonly pid = process.pid;
  private fault: LinkFault | undefined;
  private flapping: NodeJS.Timeout | undefined;
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();
  /** Forget each connection that is open. */
  private readonly forget = new Set<() => void>();
  /** Who came while nobody could connect. */
  private waiting: Socket[] = [];
  /** Bytes by the millisecond in which they were handed to the system, in order of time. */
  private readonly log: { at: number; bytes: number }[] = [];
  private readonly up = new Lane((bytes) => this.count(bytes));
  private readonly down = new Lane((bytes) => this.count(bytes));

  private connections = 0;

  constructor(private readonly options: RelayOptions) {
    this.server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (client) => this.welcome(client));
  }

  get address(): string {
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  listen(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen(port, '127.0.0.1', () => resolve());
    });
  }

  mode(): 'pass' | LinkFault['kind'] {
    return this.fault?.kind ?? 'pass';
  }

  cut(): void {
    this.fail({ kind: 'drop' });
  }

  restore(): void {
    this.begin(undefined);
    this.lanes(CLEAR, CLEAR);
  }

  fail(fault: LinkFault): void {
    this.begin(fault);
    switch (fault.kind) {
      case 'drop':
        return this.lanes(fault.direction === 'down' ? CLEAR : SHUT, fault.direction === 'up' ? CLEAR : SHUT);
      case 'slow': {
        const { bytesPerSecond = Infinity, roundTripMs = 0 } = fault;
        const passage = { open: true, bytesPerSecond, delayMs: roundTripMs / 2 };
        return this.lanes(passage, passage);
      }
      case 'reset':
        for (const socket of this.sockets) socket.resetAndDestroy();
        return this.lanes(CLEAR, CLEAR);
      case 'half-open':
        for (const forget of this.forget) forget();
        return this.lanes(CLEAR, CLEAR);
      case 'flap':
        return this.flap(fault.offMs, fault.onMs);
    }
  }

  bytesBetween(from: number, to: number): number {
    return this.log.reduce((sum, { at, bytes }) => (at >= from && at <= to ? sum + bytes : sum), 0);
  }

  async stop(): Promise<void> {
    clearTimeout(this.flapping);
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  private begin(fault: LinkFault | undefined): void {
    clearTimeout(this.flapping);
    this.fault = fault;
  }

  private flap(offMs: number, onMs: number): void {
    this.lanes(SHUT, SHUT);
    this.flapping = setTimeout(() => {
      this.lanes(CLEAR, CLEAR);
      this.flapping = setTimeout(() => this.flap(offMs, onMs), onMs);
    }, offMs);
  }

  /** Who has waited connects now, or is treated as whoever comes from now on. */
  private lanes(up: Passage, down: Passage): void {
    this.up.set(up);
    this.down.set(down);
    if (!up.open || !down.open) return;
    for (const client of this.waiting.splice(0)) this.admit(client);
  }

  private welcome(client: Socket): void {
    this.keep(client);
    // A handshake needs both directions.
    if (this.up.now.open && this.down.now.open) this.admit(client);
    else this.waiting.push(client);
  }

  private admit(client: Socket): void {
    if (client.destroyed) return;
    if (this.fault?.kind === 'reset') client.resetAndDestroy();
    else if (this.fault?.kind === 'half-open') client.resume();
    else this.join(client);
  }

  private join(client: Socket): void {
    const [host, port] = splitAddress(this.options.target);
    const upstream = connect({ host, port, allowHalfOpen: true });
    this.keep(upstream);
    const connection = ++this.connections;
    const told = (way: Direction) => (bytes: Buffer) => this.options.onPassed?.(bytes, way, connection);
    const pipes = [
      new Pipe(this.up, client, upstream, told('up')),
      new Pipe(this.down, upstream, client, told('down')),
    ];
    const forget = () => {
      for (const pipe of pipes) pipe.forget();
      upstream.destroy();
      this.forget.delete(forget);
    };
    this.forget.add(forget);
    client.on('close', () => this.forget.delete(forget));
  }

  private keep(socket: Socket): void {
    this.sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('close', () => this.sockets.delete(socket));
    // A reset is an end like any other: 'close' follows.
    socket.on('error', () => undefined);
  }

  private count(bytes: number): void {
    const at = Date.now();
    const last = this.log.at(-1);
    if (last?.at === at) last.bytes += bytes;
    else this.log.push({ at, bytes });
    if (this.log.length > LOG_ENTRIES) this.log.splice(0, LOG_ENTRIES / 2);
  }
}

function splitAddress(address: string): [string, number] {
  const colon = address.lastIndexOf(':');
  return [address.slice(0, colon), Number(address.slice(colon + 1))];
}
