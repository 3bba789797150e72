/** Files fetched ahead of a converge, by a real agent from a real depot over HTTP. */
import { generateKeyPairSync } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { blobPath, manifestPath } from '../../policies/model/depot.js';
import type { Prefetch } from '../../policies/model/prefetch.js';
import { signCommand, signPrefetch } from '../../policies/signing/dsse.js';
import { sha256Hex } from '../../policies/signing/jcs.js';
import { answerRequest, type Served } from '../../records/depot/answer-request.js';
import type { Agent } from '../../site/agent.js';
import type { AgentOptions } from '../../site/options.js';
import { carryOut, directoryRelease, TestSite, until, type Published } from './test-site.js';

let site: TestSite;
let depot: Server;
let served: Served[];
/** What the depot does before it answers, or instead of it: `answered`. */
let before: (path: string, response: ServerResponse) => Promise<void> | 'answered' | void;
let address: string;

beforeEach(async () => {
  site = new TestSite();
  site.write('live/conf/page', 'healthy original');
  served = [];
  before = () => undefined;
  depot = createServer((request, response) => {
    void (async () => {
      if ((await before(request.url ?? '', response)) === 'answered') return;
      served.push(await answerRequest(site.depot, request, response));
    })();
  });
  await new Promise<void>((resolve) => depot.listen(0, '127.0.0.1', resolve));
  address = `http://127.0.0.1:${(depot.address() as AddressInfo).port}/`;
});
afterEach(async () => {
  await site.clear();
  depot.closeAllConnections();
  await new Promise((resolve) => depot.close(resolve));
});

const start = (options: Partial<AgentOptions> = {}) => site.start({ depot: address, prefetchRetryMs: 50, ...options });

const LARGE = 'large '.repeat(50_000);
const publish = (version = '1.0.0', large = LARGE) =>
  site.publish(directoryRelease(site, version), { 'files/page': `healthy ${version}`, 'files/large': large });

const wish = (of: Published, change: Partial<Prefetch> = {}) => site.wish(of, change);
const ask = (agent: Agent, of: Prefetch, privatePem = site.privatePem) =>
  agent.door.prefetch?.(signPrefetch(of, privatePem));

const blobOf = (text: string) => `/${blobPath(`sha256:${sha256Hex(text)}`)}`;
const bytesOf = (path: string) => served.filter((one) => one.path === path).reduce((sum, { bytes }) => sum + bytes, 0);
const reported = async (agent: Agent) => (await agent.door.report()).streams['edge-proxy']?.prefetched;
async function fetched(agent: Agent, times = 1): Promise<void> {
  await until(() => agent.history(1_000).filter(({ kind }) => kind === 'prefetched').length >= times);
}

describe('a prefetch', () => {
  it('brings every file, changes nothing, and the converge moves no byte of them again', async () => {
    const agent = await start();
    const release = publish();
    expect(await ask(agent, wish(release))).toBeUndefined();
    await fetched(agent);
    expect(await reported(agent)).toEqual({ version: '1.0.0', digest: release.digest, whole: true });
    expect(bytesOf(blobOf(LARGE))).toBe(LARGE.length);
    expect(readFileSync(site.path('live', 'conf', 'page'), 'utf8')).toBe('healthy original');
    expect((await agent.door.report()).streams['edge-proxy']).toMatchObject({ state: 'idle', generation: 0, try: 0 });
    served = [];
    expect(await carryOut(agent, site, site.command(release))).toMatchObject({ result: 'confirmed' });
    expect(served).toEqual([]);
    expect(readFileSync(site.path('live', 'conf', 'large'), 'utf8')).toBe(LARGE);
    expect(await reported(agent)).toBeUndefined();
    expect(existsSync(site.path('data', 'prefetched', 'edge-proxy'))).toBe(false);
  });

  it('is told of at once: a link that listens hears of it', async () => {
    const agent = await start();
    const kinds: string[] = [];
    agent.door.onEvent((event) => kinds.push(agent.door.observed(event) ? `${event.kind}, carried` : event.kind));
    await ask(agent, wish(publish()));
    await fetched(agent);
    expect(kinds).toEqual(['prefetched']);
  });

  it('interrupted by a restart, goes on where it was', async () => {
    const release = publish();
    const first = await start();
    await ask(first, wish(release, { bytesPerSecond: 100_000 }));
    // One slice of two seconds' worth is there, the next one waits.
    const part = site.path('data', 'prefetched', 'edge-proxy', 'incoming', `${sha256Hex(LARGE)}.part`);
    const size = await until(() => existsSync(part) && statSync(part).size >= 200_000 && statSync(part).size);
    expect(size).toBeLessThan(LARGE.length);
    expect(await reported(first)).toMatchObject({ whole: false });
    await first.stop();
    const second = await start();
    await fetched(second);
    expect(bytesOf(blobOf(LARGE))).toBe(LARGE.length);
  });

  it('cut short by its converge, leaves it what it has; the converge goes first, and as fast as it can', async () => {
    const release = publish();
    const agent = await start();
    // At its own pace it would take most of a minute.
    await ask(agent, wish(release, { bytesPerSecond: 6_000 }));
    const part = site.path('data', 'prefetched', 'edge-proxy', 'incoming', `${sha256Hex(LARGE)}.part`);
    await until(() => existsSync(part) && statSync(part).size >= 16_000);
    const began = performance.now();
    expect(await carryOut(agent, site, site.command(release))).toMatchObject({ result: 'confirmed' });
    expect(performance.now() - began).toBeLessThan(20_000);
    expect(bytesOf(blobOf(LARGE))).toBe(LARGE.length);
  });

  it('has let go of the link when its converge asks for the first byte', async () => {
    const release = publish();
    const agent = await start();
    const asked: ServerResponse[] = [];
    let closed: boolean | undefined;
    before = (path, response) => {
      if (path !== blobOf(LARGE)) return;
      asked.push(response);
      closed ??= asked.length > 1 ? asked[0]?.destroyed : undefined;
      if (asked.length > 1) return;
      response.writeHead(206).write(LARGE.slice(0, 1_000));
      return 'answered';
    };
    await ask(agent, wish(release));
    await until(() => asked.length > 0);
    expect(await carryOut(agent, site, site.command(release))).toMatchObject({ result: 'confirmed' });
    expect(closed).toBe(true);
  });

  it.each([150_000, 250_000])('keeps within %i bytes a second', async (bytesPerSecond) => {
    const release = publish('1.0.0', 'x'.repeat(bytesPerSecond * 3));
    const agent = await start();
    const began = performance.now();
    const arrived: { at: number; bytes: number }[] = [];
    let bytes = 0;
    before = () => {
      bytes = served.reduce((sum, one) => sum + one.bytes, 0);
      arrived.push({ at: performance.now() - began, bytes });
    };
    await ask(agent, wish(release, { bytesPerSecond }));
    await fetched(agent);
    const seconds = (performance.now() - began) / 1_000;
    bytes = served.reduce((sum, one) => sum + one.bytes, 0);
    expect(bytes).toBeGreaterThanOrEqual(bytesPerSecond * 3);
    expect(bytes / seconds).toBeLessThan(bytesPerSecond * 1.1);
    for (const one of arrived) expect(one.bytes).toBeLessThan((bytesPerSecond * one.at) / 1_000 + bytesPerSecond * 0.1);
  });

  it('waits while something is changed at the site, and goes on afterwards', async () => {
    const agent = await start();
    const release = publish('2.0.0');
    const psk = site.publish(
      { ...directoryRelease(site, '1.0.0'), stream: 'psk', confirm: { within: '20s', healthyFor: '4s' } },
      {
        'files/page': 'healthy psk',
      },
    );
    const changing = carryOut(agent, site, site.command(psk));
    await until(() => agent.history(100).some(({ kind }) => kind === 'watching'));
    await ask(agent, wish(release));
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(bytesOf(blobOf(LARGE))).toBe(0);
    expect(await changing).toMatchObject({ result: 'confirmed' });
    await fetched(agent);
  });

  it('with another digest is never kept, and told of by nobody', async () => {
    const release = publish();
    site.put(blobPath(`sha256:${sha256Hex(LARGE)}`), LARGE.toUpperCase());
    const agent = await start();
    await ask(agent, wish(release));
    await until(() => served.filter(({ path }) => path === blobOf(LARGE)).length >= 4);
    expect(await reported(agent)).toMatchObject({ whole: false });
    expect(agent.history(100).filter(({ kind }) => kind === 'prefetched')).toEqual([]);
    const hex = sha256Hex(LARGE);
    expect(existsSync(site.path('data', 'prefetched', 'edge-proxy', hex.slice(0, 2), hex))).toBe(false);
    // Mended there, it comes.
    site.put(blobPath(`sha256:${hex}`), LARGE);
    await fetched(agent);
    expect(await carryOut(agent, site, site.command(release))).toMatchObject({ result: 'confirmed' });
  });

  it('with a manifest of another digest is never kept either', async () => {
    const release = publish();
    site.put(manifestPath(release.digest), '{}');
    const agent = await start();
    await ask(agent, wish(release));
    await until(() => served.length >= 4);
    expect(await reported(agent)).toMatchObject({ whole: false });
  });

  it('damaged while it lay there is fetched again by the converge, which is not fooled', async () => {
    const release = publish();
    const agent = await start();
    await ask(agent, wish(release));
    await fetched(agent);
    const hex = sha256Hex(LARGE);
    site.write(`data/prefetched/edge-proxy/${hex.slice(0, 2)}/${hex}`, LARGE.toUpperCase());
    served = [];
    expect(await carryOut(agent, site, site.command(release))).toMatchObject({ result: 'confirmed' });
    expect(bytesOf(blobOf(LARGE))).toBe(LARGE.length);
    expect(readFileSync(site.path('live', 'conf', 'large'), 'utf8')).toBe(LARGE);
  });

  it('whose manifest was exchanged while it lay there does not become another release', async () => {
    const [wanted, other] = [publish('1.0.0'), publish('6.6.6', 'other')];
    const agent = await start();
    await ask(agent, wish(wanted));
    await fetched(agent);
    const hex = wanted.digest.replace('sha256:', '');
    site.write(
      `data/prefetched/edge-proxy/${hex.slice(0, 2)}/${hex}`,
      readFileSync(`${site.depot}/${manifestPath(other.digest)}`, 'utf8'),
    );
    const result = await carryOut(agent, site, site.command(wanted));
    expect(result).toMatchObject({ result: 'confirmed', live: { version: '1.0.0', digest: wanted.digest } });
    expect(readFileSync(site.path('live', 'conf', 'page'), 'utf8')).toBe('healthy 1.0.0');
  });

  it('over a depot that comes and goes is no failure, and ends whole', async () => {
    const release = publish();
    const agent = await start();
    let refusals = 0;
    before = async (path) => {
      if (!path.startsWith('/blobs') || refusals++ > 2) return;
      depot.closeAllConnections();
      await new Promise(() => undefined);
    };
    await ask(agent, wish(release));
    await fetched(agent);
    expect(refusals).toBeGreaterThan(2);
    expect(await reported(agent)).toMatchObject({ whole: true });
  });

  it('is replaced by that of a later rollout, and its files go', async () => {
    const agent = await start();
    const [one, two] = [publish('1.0.0'), publish('2.0.0', 'other '.repeat(20_000))];
    await ask(agent, wish(one));
    await fetched(agent);
    expect(await ask(agent, wish(two, { generation: 3 }))).toBeUndefined();
    await fetched(agent, 2);
    expect(await reported(agent)).toMatchObject({ version: '2.0.0', whole: true });
    const hex = sha256Hex(LARGE);
    expect(existsSync(site.path('data', 'prefetched', 'edge-proxy', hex.slice(0, 2), hex))).toBe(false);
    // Late, of the earlier one.
    expect(await ask(agent, wish(one))).toMatchObject({ code: 'STALE' });
  });

  it('is thrown away once a later command has come', async () => {
    const agent = await start();
    const [one, two] = [publish('1.0.0'), publish('2.0.0', 'small')];
    await ask(agent, wish(one));
    await fetched(agent);
    const undo = site.command(two, { verb: 'revert', generation: 4 });
    expect(await carryOut(agent, site, undo)).toMatchObject({ result: 'reverted', changed: false });
    await until(() => !existsSync(site.path('data', 'prefetched', 'edge-proxy')));
    expect(await reported(agent)).toBeUndefined();
  });
});

describe('a prefetch that keeps failing', () => {
  const ALPHA = 'alpha '.repeat(1_000);
  const alpha = () =>
    site.publish(
      { ...directoryRelease(site, '1.0.0'), stream: 'alpha' },
      { 'files/page': 'healthy alpha', 'files/large': ALPHA },
    );
  const ofAlpha = () => served.filter(({ path }) => path === blobOf(ALPHA)).length;
  const fetchedOf = (agent: Agent, stream: string) =>
    until(() => agent.history(1_000).some((event) => event.kind === 'prefetched' && event.stream === stream));

  it.each([
    ['under a wrong digest', ALPHA.toUpperCase()],
    ['because the depot does not have it', undefined],
  ])('%s lets every other stream have its turn, and comes once it can', async (_, text) => {
    const broken = alpha();
    const path = blobPath(`sha256:${sha256Hex(ALPHA)}`);
    if (text === undefined) rmSync(site.path('depot', path));
    else site.put(path, text);
    const agent = await start({ prefetchRetryMs: 200 });
    await ask(agent, wish(broken));
    await until(() => ofAlpha() > 0);
    const psk = site.publish({ ...directoryRelease(site, '1.0.0'), stream: 'psk' }, { 'files/page': 'healthy psk' });
    await ask(agent, wish(publish()));
    await ask(agent, wish(psk));
    await fetchedOf(agent, 'edge-proxy');
    await fetchedOf(agent, 'psk');
    expect(agent.history(100).filter(({ kind }) => kind === 'prefetched')).toHaveLength(2);
    const before = ofAlpha();
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(ofAlpha() - before).toBeLessThan(12);
    site.put(path, ALPHA);
    await fetchedOf(agent, 'alpha');
  });

  it('with another that does as well, is tried in turn', async () => {
    const agent = await start({ prefetchRetryMs: 100 });
    const [one, two] = [alpha(), publish()];
    for (const text of [ALPHA, LARGE]) site.put(blobPath(`sha256:${sha256Hex(text)}`), text.toUpperCase());
    await ask(agent, wish(one));
    await ask(agent, wish(two));
    const tries = (text: string) => served.filter(({ path }) => path === blobOf(text)).length;
    await until(() => tries(ALPHA) >= 9 && tries(LARGE) >= 9, 20_000);
    site.put(blobPath(`sha256:${sha256Hex(LARGE)}`), LARGE);
    await fetchedOf(agent, 'edge-proxy');
  });
});

describe('a wish that is not taken', () => {
  it('[A38] because no trusted key signed it, or it is for somebody else', async () => {
    const agent = await start();
    const release = publish();
    const stranger = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    expect(await ask(agent, wish(release), stranger)).toMatchObject({ code: 'SIGNATURE_INVALID' });
    expect(await ask(agent, wish(release, { site: 'osl-02' }))).toMatchObject({ code: 'WRONG_SITE' });
    expect(await ask(agent, wish(release, { epoch: 2 }))).toMatchObject({ code: 'WRONG_EPOCH' });
    expect(await ask(agent, wish(release, { instance: 'x' }))).toMatchObject({ code: 'ENROLMENT_USED' });
    expect(await reported(agent)).toBeUndefined();
    expect(served).toEqual([]);
  });

  it('[A38] because a command was signed, and the other way round: the type is signed too', async () => {
    const agent = await start();
    const release = publish();
    const command = signCommand(site.command(release), site.privatePem);
    const asWish = { ...command, payloadType: 'application/vnd.foothold.prefetch+json' as const };
    expect(await agent.door.prefetch?.(asWish)).toMatchObject({ code: 'SIGNATURE_INVALID' });
    const signed = signPrefetch(wish(release), site.privatePem);
    const asCommand = { ...signed, payloadType: 'application/vnd.foothold.command+json' as const };
    await expect(agent.door.accept(asCommand)).rejects.toMatchObject({ code: 'SIGNATURE_INVALID' });
  });

  it('because the agent only observes, or its own converge has come before it', async () => {
    const watching = await start({ observe: true });
    const release = publish();
    expect(await ask(watching, wish(release))).toMatchObject({ code: 'OBSERVING' });
    await watching.stop();
    const agent = await start();
    expect(await carryOut(agent, site, site.command(release))).toMatchObject({ result: 'confirmed' });
    expect(await ask(agent, wish(release))).toMatchObject({ code: 'STALE' });
    expect(readdirSync(site.path('data'))).not.toContain('prefetched');
  });
});
