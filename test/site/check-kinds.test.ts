import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { parseReleaseData, type Check } from '../../policies/model/release.js';
import { serveDepot } from '../../records/depot/serve.js';
import { openProbe, type Surroundings } from '../../site/checks/probe.js';
import { Authority } from './certificates.js';
import { TestSite, until } from './test-site.js';

const directory = mkdtempSync(join(tmpdir(), 'checks-'));
const open: Server[] = [];
afterEach(() => open.splice(0).forEach((server) => server.close()));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function checkOf(words: Record<string, unknown>): Check {
  const check = { name: 'it', timeout: '500ms', every: '100ms', ...words };
  const release = {
    ...{ apiVersion: 'foothold/v1', kind: 'Release', stream: 's', version: '1.0.0' },
    ...{ driver: { type: 'directory', files: 'f', target: '/t' }, checks: [check] },
  };
  const [one] = parseReleaseData(release).checks;
  if (!one) throw new Error('no check');
  return one;
}
const around: Surroundings = { cwd: directory, now: Date.now, elapsed: () => performance.now() };
const probe = (words: Record<string, unknown>, more: Partial<Surroundings> = {}) =>
  openProbe(checkOf(words), { ...around, ...more });
const sample = (words: Record<string, unknown>) => probe(words)(new AbortController().signal);

async function listening(server: Server): Promise<number> {
  open.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}
const http = async (answer: RequestListener) => `http://127.0.0.1:${await listening(createServer(answer))}`;
const containing = (words: string): unknown => expect.stringContaining(words);
const doubt = { passed: false, inconclusive: true };

describe('metric', () => {
  const shows = async (text: string, status = 200) => http((_, response) => response.writeHead(status).end(text));
  const series = 'errors{unit="a"}';

  it('[A32] reads a value of a real exporter: this agent’s own', async () => {
    const site = new TestSite();
    const agent = await site.start();
    const address = `http://${await agent.serveMetrics('127.0.0.1:0')}/metrics`;
    const asked = { metric: address, series: 'foothold_events_unacknowledged' };
    expect(await sample({ ...asked, above: 0 })).toMatchObject({ passed: true });
    expect(await sample({ ...asked, below: 1 })).toMatchObject({
      passed: false,
      detail: containing('is 1'),
    });
    await site.clear();
  });

  it.each<[string, string, number, object]>([
    ['passes below', 'errors{unit="a"} 1', 200, { passed: true }],
    ['fails above', 'errors{unit="a"} 9', 200, { passed: false, detail: `${series} is 9, expected below 5` }],
    ['cannot judge NaN', 'errors{unit="a"} NaN', 200, doubt],
    ['cannot judge what is not there', 'errors{unit="b"} 1', 200, doubt],
    ['cannot judge half a page', 'errors{unit="a"} 1\nerr', 200, doubt],
    ['cannot judge a series twice', 'errors{unit="a"} 1\nerrors{unit="a"} 9', 200, doubt],
    ['cannot judge an error page', 'errors{unit="a"} 1', 500, doubt],
  ])('%s', async (_, text, status, expected) => {
    const { inconclusive, ...found } = await sample({ metric: await shows(text, status), series, below: 5 });
    expect({ ...found, ...(inconclusive ? { inconclusive } : {}) }).toMatchObject(expected);
    expect(inconclusive ?? false).toBe('inconclusive' in expected);
  });

  it('cannot judge an exporter that is gone, silent or endless', async () => {
    expect(await sample({ metric: 'http://127.0.0.1:1/m', series, below: 5 })).toMatchObject(doubt);
    expect(await sample({ metric: await http(() => undefined), series, below: 5 })).toMatchObject({
      ...doubt,
      detail: 'no answer within 500 ms',
    });
    const endless = await http((_, response) => {
      const feed = () => {
        while (response.write('# x\n'.repeat(50_000))) continue;
      };
      response.on('drain', feed);
      feed();
    });
    const found = await sample({ metric: endless, series, below: 5, timeout: '5s' });
    expect(found).toMatchObject({ ...doubt, detail: containing('more than') });
  });

  it('a rate says nothing before its window is full, then what grew in it', async () => {
    let errors = 1_000;
    const address = await http((_, response) => response.end(`errors{unit="a"} ${errors}`));
    let now = 0;
    const take = probe({ metric: address, series, rate: '1s', below: 5 }, { elapsed: () => now });
    const at = async (when: number, count: number) => {
      [now, errors] = [when, count];
      return take(AbortSignal.timeout(5_000));
    };
    expect(await at(0, 1_000)).toMatchObject({ ...doubt, notYet: true });
    expect(await at(900, 1_000)).toMatchObject({ ...doubt, notYet: true });
    expect(await at(1_000, 1_004)).toMatchObject({ passed: true });
    expect(await at(1_900, 1_005)).toMatchObject({ passed: false, detail: containing('is 5') });
    expect(await at(2_900, 3)).toMatchObject({ passed: true });
  });
});

describe('tls', () => {
  let authority: Authority;
  let pair: TlsOptions;
  beforeAll(() => {
    authority = new Authority(directory);
    pair = authority.issue('proxy.test', 20);
  });
  const serve = async (options: TlsOptions = {}) => {
    const server = createTlsServer({ ...pair, ...options });
    server.on('tlsClientError', () => undefined);
    return `127.0.0.1:${await listening(server)}`;
  };
  const ca = 'ca.pem';

  it('[A32] passes on a chain, days, protocol and suite as they should be, and says what it found', async () => {
    const tls = await serve();
    const wanted = { daysLeft: 14, protocol: 'TLSv1.3', suites: ['TLS_AES_256_GCM_SHA384'], serverName: 'proxy.test' };
    expect(await sample({ tls, ca, ...wanted })).toEqual({
      passed: true,
      detail: 'TLSv1.3 TLS_AES_256_GCM_SHA384, 20 days left',
    });
    expect(await sample({ tls, ca })).toMatchObject({ passed: true });
  });

  it.each<[string, Record<string, unknown>, TlsOptions, string]>([
    ['an authority that is not ours', { ca: undefined }, {}, 'the chain is not trusted'],
    ['another name', { serverName: 'other.test' }, {}, 'other.test'],
    ['too few days', { daysLeft: 21 }, {}, 'expected at least 21 days'],
    ['an older protocol', { protocol: 'TLSv1.3' }, { maxVersion: 'TLSv1.2' }, 'expected TLSv1.3 or later'],
    ['another suite', { suites: ['TLS_CHACHA20_POLY1305_SHA256'] }, {}, 'expected one of'],
    ['no common protocol', {}, { maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' }, 'alert'],
  ])('fails on %s', async (_, words, options, detail) => {
    const found = await sample({ tls: await serve(options), ca, ...words });
    expect(found).toEqual({ passed: false, detail: containing(detail) });
  });

  it('fails on a certificate that has ended, nobody there, and a server that never shakes hands', async () => {
    const ended = await serve(authority.issue('ended.test', -1));
    expect(await sample({ tls: ended, ca })).toMatchObject({
      passed: false,
      detail: containing('EXPIRED'),
    });
    expect(await sample({ tls: '127.0.0.1:1', ca })).toMatchObject({ passed: false });
    const silent = await listening(createTcpServer(() => undefined));
    expect(await sample({ tls: `127.0.0.1:${silent}`, ca })).toEqual({
      passed: false,
      detail: 'no handshake within 500 ms',
    });
  });

  it('cannot judge without the authorities that it is to trust', async () => {
    expect(await sample({ tls: await serve(), ca: 'none.pem' })).toMatchObject(doubt);
  });
});

describe('peer', () => {
  it('[A32] passes on the echo of a neighbour’s agent and of a depot', async () => {
    const site = new TestSite();
    const agent = await site.start();
    expect(await sample({ peer: await agent.serveMetrics('127.0.0.1:0') })).toMatchObject({ passed: true });
    await site.clear();
    const depot = await serveDepot(directory, { host: '127.0.0.1', port: 0 });
    expect(await sample({ peer: `${depot.url}echo` })).toMatchObject({ passed: true });
    await depot.close();
  });

  it.each<[string, RequestListener]>([
    ['answers all alike', (_, response) => response.end('ok')],
    [
      'answers with more',
      (request, response) => request.pipe(response, { end: false }).on('pipe', () => response.end('x')),
    ],
    ['refuses', (_, response) => response.writeHead(404).end()],
    ['is silent', () => undefined],
  ])('fails on a server that %s', async (_, answer) => {
    const found = await sample({ peer: `${await http(answer)}/echo` });
    expect(found).toMatchObject({ passed: false });
    expect(found.inconclusive).toBeUndefined();
  });

  it('the echo repeats nothing but a nonce', async () => {
    const depot = await serveDepot(directory, { host: '127.0.0.1', port: 0 });
    const post = async (body: string) => (await fetch(`${depot.url}echo`, { method: 'POST', body })).status;
    expect(await post('0123456789abcdef')).toBe(200);
    for (const body of ['', '<script>', '0123', 'a'.repeat(129), 'f'.repeat(1_000_000)])
      expect(await post(body)).toBe(400);
    expect((await fetch(`${depot.url}other`, { method: 'POST', body: 'x' })).status).toBe(405);
    await depot.close();
  });
});

describe('exec', () => {
  it('[A32] judges by its exit; hung, killed or missing it cannot be judged', async () => {
    expect(await sample({ exec: ['true'] })).toMatchObject({ passed: true });
    expect((await sample({ exec: ['false'] })).inconclusive).toBeUndefined();
    expect(await sample({ exec: ['sleep', '30'] })).toMatchObject({ ...doubt, detail: 'killed after 500 ms' });
    expect(await sample({ exec: ['sh', '-c', 'kill -9 $$'] })).toMatchObject({ ...doubt, detail: 'ended by SIGKILL' });
    expect(await sample({ exec: ['/no/such'] })).toMatchObject(doubt);
    expect(await sample({ exec: ['echo', 'a\0b'] })).toMatchObject(doubt);
  });

  it.each([
    ['when it hangs', 'sleep 60 & echo $! > child; sleep 60'],
    ['when it ends and leaves one behind', 'sleep 60 & echo $! > child; exit 0'],
    ['when it fails and leaves one behind', 'sleep 60 & echo $! > child; exit 1'],
  ])('is killed with its children %s', async (_, script) => {
    writeFileSync(join(directory, 'child'), '');
    await sample({ exec: ['sh', '-c', script] });
    const child = readFileSync(join(directory, 'child'), 'utf8').trim();
    expect(child).toMatch(/^\d+$/);
    await until(() => !isAlive(child), 2_000);
  });
});

function isAlive(pid: string): boolean {
  try {
    return !execFileSync('ps', ['-o', 'stat=', '-p', pid], { encoding: 'utf8' }).trim().startsWith('Z');
  } catch {
    return false;
  }
}

describe('person', () => {
  it('[A32] waits, passes once somebody has confirmed, and fails once its time is over', async () => {
    let [now, by] = [0, undefined as string | undefined];
    const answers = { of: () => by, askedAt: 0, within: 60_000 };
    const take = probe({ person: 'is it green', within: '30s' }, { elapsed: () => now, answers });
    const signal = new AbortController().signal;
    expect(await take(signal)).toMatchObject({ ...doubt, notYet: true, detail: 'waits for a person: is it green' });
    now = 30_000;
    expect(await take(signal)).toEqual({ passed: false, detail: 'nobody confirmed within 30000 ms: is it green' });
    by = 'kari';
    expect(await take(signal)).toEqual({ passed: true, detail: 'confirmed by kari' });
  });
});
