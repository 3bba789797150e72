/** Free ports on 127.0.0.1. */
import { createServer } from 'node:net';

/** Below the range that systems give to outgoing connections: such a connection must not take a port between two starts. */
const FIRST = 15_000;
const LAST = 31_999;
const given = new Set<number>();

/** A port nobody listens on, never given twice by this process. */
export async function freePort(): Promise<number> {
  const { first, last } = portRange();
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const port = first + Math.floor(Math.random() * (last - first + 1));
    if (given.has(port) || !(await isFree(port))) continue;
    given.add(port);
    return port;
  }
  throw new Error(`expected a free port between ${first} and ${last} on 127.0.0.1, found none in 200 attempts`);
}

/**
 * `FOOTHOLD_PORTS=15000-19249` narrows it, for this process and those it starts: whoever runs beside it then never takes a
 * port that is chosen here and not listened on yet, or whose server is down for a moment.
 */
function portRange(): { first: number; last: number } {
  const asked = process.env['FOOTHOLD_PORTS'];
  if (asked === undefined) return { first: FIRST, last: LAST };
  const [first = NaN, last = NaN] = /^\d+-\d+$/.test(asked) ? asked.split('-').map(Number) : [];
  if (FIRST <= first && first <= last && last <= LAST) return { first, last };
  throw new Error(`expected FOOTHOLD_PORTS as two ports from ${FIRST} to ${LAST} with a dash between, got ${asked}`);
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
