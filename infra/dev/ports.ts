/** Free ports on 127.0.0.1. */
import { createServer } from 'node:net';

/** Below the range that systems give to outgoing connections: such a connection must not take a port between two starts. */
const FIRST = 15_000;
const LAST = 31_999;
const given = new Set<number>();

/** A port nobody listens on, never given twice by this process. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST + 1));
    if (given.has(port) || !(await isFree(port))) continue;
    given.add(port);
    return port;
  }
  throw new Error(`expected a free port between ${FIRST} and ${LAST} on 127.0.0.1, found none in 200 attempts`);
}

export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) ports.push(await freePort());
  return ports;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
