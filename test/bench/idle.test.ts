import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { bytesPerHour, rareOf } from '../../bench/idle/figures.js';
import { FrameMeter } from '../../bench/idle/frames.js';
import { kindOf } from '../../bench/idle/kinds.js';

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const [DATA, HEADERS, SETTINGS, PING] = [0, 1, 4, 6];

function frame(type: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}
function message(body: Buffer, compressed: boolean): Buffer {
  const sent = compressed ? gzipSync(body) : body;
  const head = Buffer.alloc(5);
  head.writeUInt8(compressed ? 1 : 0, 0);
  head.writeUInt32BE(sent.length, 1);
  return Buffer.concat([head, sent]);
}
const request = (text: string) => Buffer.from(text, 'latin1');
const POLL = request('\n\x07default\x12\x13\n\x0fsite-idle-fibre\x10\x01\x1a\x0fsite-idle-fibre');
const HEARTBEAT = request('\n\x07default\x12\x0fsite-idle-fibre\x1a\xb9\x02\n$5e006ccf');
const REPORT = request('\n\x07default\x12\x10inbox/idle-fibre\x1a\x07\n\x05inbox');
const ARRIVAL = request('\n\x07default\x12\x0aarrivals/1\x1a\x0a\n\x08arrivals');
const DESCRIBE = request('\n\x07default\x12\x12\n\x10inbox/idle-fibre');

describe('the kinds of calls', () => {
  it('are told by the layout of what is asked', () => {
    const asked = [POLL, HEARTBEAT, REPORT, ARRIVAL, DESCRIBE, request('\n\x07default'), Buffer.alloc(0)];
    expect(asked.map(kindOf)).toEqual(['poll', 'heartbeat', 'report', 'report', 'report', 'contact', 'other']);
  });
});

describe('the meter of frames', () => {
  it('puts every byte down to the call of its stream, however it is cut, compressed or not', () => {
    const up = [
      PREFACE,
      frame(SETTINGS, 0, Buffer.alloc(6)),
      frame(HEADERS, 1, Buffer.alloc(40)),
      frame(DATA, 1, message(POLL, true)),
      frame(PING, 0, Buffer.alloc(8)),
    ];
    const down = [frame(HEADERS, 1, Buffer.alloc(20)), frame(DATA, 1, message(Buffer.alloc(0), false))];
    for (const size of [1, 7, 10_000]) {
      const meter = new FrameMeter(kindOf);
      for (const [way, frames] of [
        ['up', up],
        ['down', down],
      ] as const) {
        const all = Buffer.concat(frames);
        for (let from = 0; from < all.length; from += size) meter.take(all.subarray(from, from + size), way, 1, 5);
      }
      const of = (kind: string) =>
        meter.spent.filter((one) => one.kind === kind).reduce((sum, one) => sum + one.bytes, 0);
      const bytes = (frames: readonly Buffer[]) => Buffer.concat([...frames]).length;
      expect({ size, poll: of('poll'), ping: of('ping'), settings: of('settings') }).toEqual({
        size,
        poll: bytes(up.slice(2, 4)) + bytes(down),
        ping: 17,
        settings: PREFACE.length + 15,
      });
    }
  });
});

describe('the hour of an idle link', () => {
  it('scales what is frequent, and reckons by the timers what is rare', () => {
    const rare = rareOf(
      [200, 210, 220],
      [
        { bytes: 2_000, windows: 1 },
        { bytes: 2_300, windows: 4 },
      ],
      450,
    );
    expect(rare).toEqual({ contactBytes: 210, reportBytes: 1_900, windowBytes: 100, keysetBytes: 450 });
    const spent = [
      { kind: 'poll', bytes: 200, at: 1_000 },
      { kind: 'poll', bytes: 200, at: 61_000 },
      { kind: 'ping', bytes: 17, at: 30_000 },
      { kind: 'report', bytes: 9_999, at: 30_000 },
      { kind: 'poll', bytes: 200, at: 120_000 },
    ] as const;
    const hour = bytesPerHour('satellite', [...spent], { from: 0, to: 120_000 }, rare);
    expect(hour).toMatchObject({
      longPolls: 12_000,
      keepalive: 510,
      contact: 1_260,
      reports: 1_900 + 4 * 100,
      keyset: 450,
    });
    expect(hour['total']).toBe(12_000 + 510 + 1_260 + 2_300 + 450);
  });

  it('refuses two reports that tell nothing of samples', () => {
    expect(() =>
      rareOf(
        [1],
        [
          { bytes: 1, windows: 2 },
          { bytes: 3, windows: 2 },
        ],
        0,
      ),
    ).toThrow('unequal samples');
  });
});
