/**
 * A link that can be cut: a TCP relay which passes everything, or nothing. Cut, it reads from neither side and connects
 * no one, as when packets vanish: no reset, no refusal, nobody is told. What was on its way then goes on once the link
 * is back, as TCP's retransmission would bring it; dropping bytes out of a stream would corrupt it, which no network does.
 */
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

export interface RelayOptions {
  /** Port on 127.0.0.1; default any free one. */
  listen?: number;
  /** `host:port`. */
  target: string;
  /** Hears of every chunk that was handed on, in the order of its direction; `connection` counts from 1. */
  onPassed?: (chunk: Buffer, way: Way, connection: number) => void;
}

/** `up` is from who connected to the target. */
export type Way = 'up' | 'down';

export interface Relay {
  /** `127.0.0.1:<port>` */
  readonly address: string;
  readonly pid: number;
  mode(): 'pass' | 'drop';
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

class TcpRelay implements Relay {
  readonly pid = process.pid;
  private dropping = false;
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();
  /** What ends and begins while cut is told only when the link is back. */
  private pending: (() => void)[] = [];
  /** Bytes by the millisecond in which they were handed to the system, in order of time. */
  private readonly log: { at: number; bytes: number }[] = [];

  private connections = 0;

  constructor(private readonly options: RelayOptions) {
    this.server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (client) => {
      this.keep(client);
      this.whenPassing(() => this.join(client));
    });
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

  mode(): 'pass' | 'drop' {
    return this.dropping ? 'drop' : 'pass';
  }

  cut(): void {
    this.dropping = true;
    for (const socket of this.sockets) socket.pause();
  }

  restore(): void {
    this.dropping = false;
    const pending = this.pending;
    this.pending = [];
    for (const action of pending) action();
    for (const socket of this.sockets) socket.resume();
  }

  bytesBetween(from: number, to: number): number {
    return this.log.reduce((sum, { at, bytes }) => (at >= from && at <= to ? sum + bytes : sum), 0);
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  private join(client: Socket): void {
    if (client.destroyed) return;
    const [host, port] = splitAddress(this.options.target);
    const upstream = connect({ host, port, allowHalfOpen: true });
    this.keep(upstream);
    const connection = ++this.connections;
    this.forward(client, upstream, (chunk) => this.options.onPassed?.(chunk, 'up', connection));
    this.forward(upstream, client, (chunk) => this.options.onPassed?.(chunk, 'down', connection));
    client.resume();
  }

  private forward(from: Socket, to: Socket, passed: (chunk: Buffer) => void): void {
    from.on('data', (chunk: Buffer) => {
      // Counted when the system has taken it: bytes that wait here while the link is cut have not passed.
      const flowing = to.write(chunk, (error) => {
        if (error) return;
        this.count(chunk.length);
        passed(chunk);
      });
      if (!flowing) from.pause();
    });
    to.on('drain', () => {
      if (!this.dropping) from.resume();
    });
    from.on('end', () => this.whenPassing(() => to.end()));
    // Closed without an error, both directions have ended, and what is still on its way to `to` must arrive.
    from.on('close', (failed) => this.whenPassing(() => (failed ? to.destroy() : to.end())));
  }

  private keep(socket: Socket): void {
    this.sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('close', () => this.sockets.delete(socket));
    // A reset is an end like any other: 'close' follows.
    socket.on('error', () => undefined);
  }

  private whenPassing(action: () => void): void {
    if (this.dropping) this.pending.push(action);
    else action();
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
