/**
 * What the bytes of a link are: the frames of HTTP/2 (RFC 9113 §4.1), put down to the call whose stream they belong to,
 * and a call to its kind by what is asked. Without TLS, which would add some 20 to 30 bytes a record. Pure.
 */
import { gunzipSync } from 'node:zlib';
import type { Direction } from '../../infra/dev/relay.js';

/** `ping`, `settings`: of the connection itself, in both directions. */
export type Kind = 'poll' | 'contact' | 'report' | 'heartbeat' | 'ping' | 'settings' | 'other';

/** One call, or one frame of the connection itself. */
export interface Spent {
  kind: Kind;
  bytes: number;
  at: number;
}

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'.length;
const HEAD = 9;
const [DATA, SETTINGS, PING, WINDOW_UPDATE] = [0, 4, 6, 8];

export class FrameMeter {
  readonly spent: Spent[] = [];
  private readonly ends = new Map<string, { rest: Buffer; skip: number }>();
  private readonly calls = new Map<string, Spent>();

  constructor(private readonly kindOf: (asked: Buffer) => Kind) {}

  take(chunk: Buffer, way: Direction, connection: number, at: number): void {
    const end = this.endOf(connection, way);
    let rest = Buffer.concat([end.rest, chunk]);
    if (end.skip > 0) {
      const skipped = Math.min(end.skip, rest.length);
      this.spent.push({ kind: 'settings', bytes: skipped, at });
      rest = rest.subarray(skipped);
      end.skip -= skipped;
    }
    for (;;) {
      if (rest.length < HEAD) break;
      const size = HEAD + rest.readUIntBE(0, 3);
      if (rest.length < size) break;
      this.frame(rest.subarray(0, size), way, connection, at);
      rest = rest.subarray(size);
    }
    end.rest = Buffer.from(rest);
  }

  private endOf(connection: number, way: Direction): { rest: Buffer; skip: number } {
    const key = `${connection}/${way}`;
    const known = this.ends.get(key) ?? { rest: Buffer.alloc(0), skip: way === 'up' ? PREFACE : 0 };
    this.ends.set(key, known);
    return known;
  }

  private frame(frame: Buffer, way: Direction, connection: number, at: number): void {
    const type = frame.readUInt8(3);
    const stream = frame.readUInt32BE(5) & 0x7fffffff;
    const bytes = frame.length;
    if (type === PING) return void this.spent.push({ kind: 'ping', bytes, at });
    if (stream === 0)
      return void this.spent.push({ kind: type === SETTINGS ? 'settings' : kindOfConnection(type), bytes, at });
    const key = `${connection}/${stream}`;
    let call = this.calls.get(key);
    if (!call) {
      call = { kind: 'other', bytes: 0, at };
      this.calls.set(key, call);
      this.spent.push(call);
    }
    call.bytes += bytes;
    if (type === DATA && way === 'up' && bytes > HEAD) call.kind = this.kindOf(messageOf(frame.subarray(HEAD)));
  }
}

/** Windows are opened for what calls have sent; nobody says for which. */
function kindOfConnection(type: number): Kind {
  return type === WINDOW_UPDATE ? 'ping' : 'other';
}

/** A message of gRPC: a flag whether it is compressed, its length, itself. One that came in several frames is not unpacked. */
function messageOf(data: Buffer): Buffer {
  if (data.length < 5) return data;
  const body = data.subarray(5);
  if (data.readUInt8(0) !== 1) return body;
  try {
    return gunzipSync(body);
  } catch {
    return body;
  }
}
