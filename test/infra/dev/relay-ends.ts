/** Both ends of a relay, as plain as TCP is. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { startRelay, type Relay } from '../../../infra/dev/relay.js';

export const toStop: (() => Promise<void> | void)[] = [];
export async function stopAll(): Promise<void> {
  for (const stop of toStop.splice(0).reverse()) await stop();
}

/** Answers every chunk with the same bytes. */
export async function echo(): Promise<{ address: string; connections: () => number }> {
  let connections = 0;
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  toStop.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, connections: () => connections };
}

export interface Client {
  socket: Socket;
  received: () => string;
  closed: () => boolean;
  /** How it ended, if not well. */
  error: () => string | undefined;
}

export async function client(relay: Relay): Promise<Client> {
  const [host = '', port] = relay.address.split(':');
  const socket = connect(Number(port), host);
  let received = '';
  let closed = false;
  socket.setEncoding('utf8');
  socket.on('data', (text: string) => (received += text));
  socket.on('close', () => (closed = true));
  let failure: string | undefined;
  socket.on('error', (error: NodeJS.ErrnoException) => (failure = error.code));
  // A reset may be all that comes.
  await new Promise((resolve) => {
    for (const event of ['connect', 'close']) socket.once(event, resolve);
  });
  toStop.push(() => void socket.destroy());
  return { socket, received: () => received, closed: () => closed, error: () => failure };
}

export async function relayTo(target: string): Promise<Relay> {
  const relay = await startRelay({ target });
  toStop.push(() => relay.stop());
  return relay;
}
