/** Each fault of a relay, against a plain echo: what passes, what does not, and what is left when it is over. */
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { client, echo, relayTo, stopAll, toStop } from './relay-ends.js';

afterEach(stopAll);

/** Long enough for a byte that passes to have passed. */
const A_WHILE = 150;

/** A relay in good order with one connection over it, which has heard its `a`. */
async function joined() {
  const server = await echo();
  const relay = await relayTo(server.address);
  const one = await client(relay);
  one.socket.write('a');
  await expect.poll(one.received).toBe('a');
  return { server, relay, one };
}

/** Hears what it is told and says something of its own, each only when asked. */
async function talker() {
  const open: Socket[] = [];
  let heard = '';
  const server = createServer((socket) => {
    open.push(socket);
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => (heard += bytes.toString()));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  toStop.push(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { address, heard: () => heard, say: (words: string) => open.forEach((socket) => socket.write(words)), open };
}

describe('one direction dropped', () => {
  it.each(['up', 'down'] as const)(
    '%s: the other one passes, nobody can connect, and nothing is lost',
    async (lost) => {
      const server = await talker();
      const relay = await relayTo(server.address);
      const one = await client(relay);
      await expect.poll(() => server.open.length).toBe(1);
      relay.fail({ kind: 'drop', direction: lost });
      one.socket.write('question');
      server.say('answer');
      await (lost === 'up' ? expect.poll(one.received).toBe('answer') : expect.poll(server.heard).toBe('question'));
      const late = await client(relay);
      late.socket.write('!');
      await sleep(A_WHILE);
      expect([server.heard(), one.received()]).toEqual(lost === 'up' ? ['', 'answer'] : ['question', '']);
      expect([server.open.length, late.closed(), relay.mode()]).toEqual([1, false, 'drop']);
      relay.restore();
      await expect.poll(() => [server.heard().replace('!', ''), one.received()]).toEqual(['question', 'answer']);
      await expect.poll(() => server.open.length).toBe(2);
    },
  );
});

describe('slow', () => {
  it('1 byte a second: bytes come one at a time, and what is left comes at once when it is over', async () => {
    const { relay, one } = await joined();
    relay.fail({ kind: 'slow', bytesPerSecond: 1 });
    one.socket.write('0123456789');
    await sleep(2_200);
    const { length } = one.received();
    expect(length).toBeGreaterThan(1);
    expect(length).toBeLessThanOrEqual(1 + 3);
    relay.restore();
    await expect.poll(one.received).toBe('a0123456789');
  });

  it('1.5 Mbit/s, all connections together, in order and whole', async () => {
    const { relay, one } = await joined();
    const other = await client(relay);
    const half = Array.from({ length: 20_000 }, (_, index) => `${index % 10}`).join('');
    relay.fail({ kind: 'slow', bytesPerSecond: 1_500_000 / 8 });
    const from = performance.now();
    for (const end of [one, other]) for (let times = 0; times < 5; times++) end.socket.write(half);
    await expect.poll(() => one.received().length + other.received().length, { timeout: 10_000 }).toBe(200_001);
    // 200 kB at 187.5 kB/s, less what the lane makes up for at its start.
    expect(performance.now() - from).toBeGreaterThan(1_000);
    expect([one.received(), other.received()]).toEqual([`a${half.repeat(5)}`, half.repeat(5)]);
  });

  it('600 ms round trip: an answer takes that long, and many under way take no longer', async () => {
    const { relay, one } = await joined();
    relay.fail({ kind: 'slow', roundTripMs: 600 });
    const from = performance.now();
    for (const digit of '0123456789') {
      one.socket.write(digit);
      await sleep(20);
    }
    await expect.poll(() => one.received().length, { interval: 5 }).toBeGreaterThan(1);
    expect(performance.now() - from).toBeGreaterThan(590);
    await expect.poll(one.received, { interval: 5 }).toBe('a0123456789');
    expect(performance.now() - from).toBeLessThan(2_400);
    one.socket.end();
    await expect.poll(one.closed).toBe(true);
  });
});

describe('reset', () => {
  it('ends the open connection and each new one by RST, and passes again when it is over', async () => {
    const { server, relay, one } = await joined();
    relay.fail({ kind: 'reset' });
    await expect.poll(one.error).toBe('ECONNRESET');
    const late = await client(relay);
    late.socket.write('b');
    await expect.poll(late.closed).toBe(true);
    expect([late.error(), late.received(), server.connections()]).toEqual(['ECONNRESET', '', 1]);
    relay.restore();
    const next = await client(relay);
    next.socket.write('c');
    await expect.poll(next.received).toBe('c');
  });
});

describe('half-open', () => {
  it('takes everything and says nothing, to old and new, and even afterwards: only who connects anew is heard', async () => {
    const { server, relay, one } = await joined();
    relay.fail({ kind: 'half-open' });
    const late = await client(relay);
    for (const end of [one, late]) end.socket.write('b'.repeat(20_000_000));
    // Taken in, all of it: to whoever writes, all looks well.
    await expect.poll(() => one.socket.writableLength + late.socket.writableLength).toBe(0);
    await sleep(A_WHILE);
    expect(server.connections()).toBe(1);
    relay.restore();
    for (const end of [one, late]) end.socket.write('c');
    const next = await client(relay);
    next.socket.write('d');
    await expect.poll(next.received).toBe('d');
    await sleep(A_WHILE);
    expect([one, late].map((end) => [end.received(), end.closed()])).toEqual([
      ['a', false],
      ['', false],
    ]);
  });
});

describe('flapping', () => {
  it('passes nothing, then everything, and so on until it is over; nothing is lost', async () => {
    const { relay, one } = await joined();
    relay.fail({ kind: 'flap', offMs: 400, onMs: 400 });
    // Counted in what was written without an answer: a busy machine is late with both.
    const silences: number[] = [];
    let unanswered = 0;
    one.socket.on('data', () => {
      silences.push(unanswered);
      unanswered = 0;
    });
    const talk = async (times: number) => {
      for (let count = 0; count < times; count++) {
        one.socket.write('.');
        unanswered += 1;
        await sleep(20);
      }
      return silences.splice(0).filter((count) => count >= 6).length;
    };
    expect(await talk(100)).toBeGreaterThanOrEqual(2);
    expect(relay.mode()).toBe('flap');
    relay.restore();
    await expect.poll(() => one.received().length).toBe(101);
    silences.length = 0;
    expect(await talk(50)).toBe(0);
    expect(one.received().length).toBeGreaterThan(140);
  });
});
