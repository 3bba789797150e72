import { createServer, type AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { client, echo, relayTo, stopAll, toStop } from './relay-ends.js';

afterEach(stopAll);

describe('a relay', () => {
  it('passes both directions and counts the bytes of both by the time at which they passed', async () => {
    const relay = await relayTo((await echo()).address);
    const one = await client(relay);
    const from = Date.now();
    one.socket.write('hello');
    await expect.poll(one.received).toBe('hello');
    await expect.poll(() => relay.bytesBetween(from, Date.now())).toBe(10);
    expect(relay.bytesBetween(0, from - 1)).toBe(0);
    expect(relay.bytesBetween(Date.now() + 1, Infinity)).toBe(0);
  });

  it('cut, passes nothing in either direction, refuses nobody and closes nothing', async () => {
    const server = await echo();
    const relay = await relayTo(server.address);
    const before = await client(relay);
    before.socket.write('a');
    await expect.poll(before.received).toBe('a');

    relay.cut();
    const cutAt = Date.now() + 1;
    await sleep(5);
    before.socket.write('b');
    const during = await client(relay);
    during.socket.write('c');
    await sleep(150);

    expect(relay.mode()).toBe('drop');
    expect(before.received()).toBe('a');
    expect(during.received()).toBe('');
    expect([before.closed(), during.closed()]).toEqual([false, false]);
    expect(server.connections()).toBe(1);
    expect(relay.bytesBetween(cutAt, Date.now())).toBe(0);
  });

  it('hands a refused target on as a closed connection', async () => {
    const free = createServer();
    await new Promise<void>((resolve) => free.listen(0, '127.0.0.1', resolve));
    const { port } = free.address() as AddressInfo;
    await new Promise((resolve) => free.close(resolve));
    const relay = await relayTo(`127.0.0.1:${port}`);
    const one = await client(relay);
    await expect.poll(one.closed).toBe(true);
  });
});

describe('a relay that is restored', () => {
  it('brings what was on its way, whole and in order', async () => {
    const relay = await relayTo((await echo()).address);
    const before = await client(relay);
    before.socket.write('a');
    await expect.poll(before.received).toBe('a');
    relay.cut();
    const during = await client(relay);
    const large = 'x'.repeat(300_000);
    before.socket.write(large);
    during.socket.write('c');
    await sleep(50);

    relay.restore();

    await expect.poll(() => before.received().length).toBe(300_001);
    expect(before.received()).toBe(`a${large}`);
    await expect.poll(during.received).toBe('c');
  });

  it('tells that the other side has gone, and not before', async () => {
    const ends: (() => void)[] = [];
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.write('hello');
      ends.push(() => socket.end('bye'));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    toStop.push(() => void server.close());
    const relay = await relayTo(`127.0.0.1:${(server.address() as AddressInfo).port}`);
    const one = await client(relay);
    one.socket.on('end', () => one.socket.end());
    await expect.poll(one.received).toBe('hello');
    relay.cut();
    for (const end of ends) end();
    await sleep(50);
    expect([one.received(), one.closed()]).toEqual(['hello', false]);
    relay.restore();
    await expect.poll(one.received).toBe('hellobye');
    await expect.poll(one.closed).toBe(true);
  });
});
