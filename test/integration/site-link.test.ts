/** The direct link against a real server: what it says of itself, and that what is mended needs no restart of the agent. */
import { executionAsyncResource } from 'node:async_hooks';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '../../infra/dev/ports.js';
import { startTemporal, type TemporalServer } from '../../infra/dev/temporal.js';
import { run } from '../../infra/dev/run.js';
import { findProgram } from '../../infra/programs/find.js';
import { startRelay } from '../../infra/dev/relay.js';
import { LINK_TIMERS, type LinkState } from '../../policies/model/link.js';
import type { SiteDoor } from '../../policies/model/site-door.js';
import type { TemporalSettings } from '../../worker/connection.js';
import { openLog } from '../../worker/log.js';
import { installRuntime } from '../../worker/runtime.js';
import { runSiteLink } from '../../worker/site-link.js';
import { until } from './fault-stage.js';
import { TlsGate, type Client } from './tls-gate.js';

const root = mkdtempSync(join(tmpdir(), 'foothold-link-'));
const log = openLog('test');
log.level = 'silent';
installRuntime(log);
let temporal: TemporalServer;
let stop: () => Promise<void> = async () => undefined;

beforeAll(async () => {
  temporal = await startTemporal({ directory: join(root, 't') });
}, 120_000);
afterEach(() => stop());
afterAll(async () => {
  await temporal.stop();
  rmSync(root, { recursive: true, force: true });
});

const TIMERS = { ...LINK_TIMERS.fibre, firstRetry: 200, mostRetry: 500, contactEvery: 300, echoWithin: 2_000 };

/** A link of a site with nothing to tell, and what it says of itself. */
function linked(readTemporal: () => TemporalSettings, site = 'osl-01') {
  const states: LinkState[] = [];
  const contacts: number[] = [];
  const door = {
    onEvent: () => () => undefined,
    unacknowledged: () => [],
    report: async () => ({ site }),
    contacted: (at: number) => contacts.push(at),
  } as unknown as SiteDoor;
  const end = new AbortController();
  const options = { site, queue: `site-${site}`, door, streams: 1, timers: TIMERS, log, settingsEvery: 200 };
  const running = runSiteLink({ ...options, readTemporal, onState: (state) => states.push(state) }, end.signal);
  stop = async () => {
    end.abort();
    await running;
    stop = async () => undefined;
  };
  const is = (state: LinkState['state'], words = /^/) =>
    until(
      () => {
        const last = states.at(-1);
        return last?.state === state && words.test(last.cause ?? '') && last;
      },
      `the link is ${state} ${String(words)}`,
    );
  return { states, contacts, is };
}
const plain = (address: string, namespace = 'default'): TemporalSettings => ({ connection: { address }, namespace });

describe('what is wrong is named, and tried again', () => {
  test('[B7] nobody listens: down with the cause, again and again, and up once somebody does', async () => {
    const port = await freePort();
    const { states, is } = linked(() => plain(`127.0.0.1:${port}`));
    const down = await is('down', /127\.0\.0\.1:\d+ cannot be reached/);
    expect(down.since).toBeGreaterThan(Date.now() - 60_000);
    await until(() => (states.at(-1)?.failures ?? 0) >= 3, 'it tries on');
    const relay = await startRelay({ listen: port, target: temporal.address });
    try {
      expect((await is('up')).failures).toBe(0);
    } finally {
      await stop();
      await relay.stop();
    }
  });

  test('a namespace that does not exist is named, and used once it does', async () => {
    const { is } = linked(() => plain(temporal.address, 'later'));
    await is('down', /namespace later .*not found/i);
    const { path, env } = await findProgram('temporal');
    const create = ['operator', 'namespace', 'create', 'later', '--address', temporal.address];
    expect((await run(path, create, { env })).code).toBe(0);
    await is('up');
  });

  test('settings that cannot be read are a cause like any other', async () => {
    let broken = true;
    const { is } = linked(() => {
      if (broken) throw new Error('the profile is not readable');
      return plain(temporal.address);
    });
    await is('down', /the profile is not readable/);
    broken = false;
    await is('up');
  });

  test('[B1] a link that passes nothing is down by its echo, whatever its socket says, and up again with a later contact', async () => {
    const relay = await startRelay({ target: temporal.address });
    const { contacts, is } = linked(() => plain(relay.address));
    await is('up');
    relay.cut();
    await is('down', /did not answer/);
    const before = contacts.at(-1) ?? 0;
    relay.restore();
    await is('up');
    expect(contacts.at(-1)).toBeGreaterThan(before);
    await stop();
    await relay.stop();
  });
});

/** What every promise of this process carries besides its own: of each connection that is or was. */
async function carriedByPromises(): Promise<number> {
  await Promise.resolve();
  return Object.getOwnPropertySymbols(executionAsyncResource()).length;
}

describe('a link that begins anew for months', () => {
  test('[B7] leaves nothing of the connections behind that it had', async () => {
    let connections = 0;
    const relay = await startRelay({
      target: temporal.address,
      onPassed: (_chunk, _way, connection) => (connections = Math.max(connections, connection)),
    });
    let changes = 0;
    const { address } = relay;
    const { is } = linked(() => ({
      connection: { address, metadata: { change: String(changes) } },
      namespace: 'default',
    }));
    await is('up');
    const before = await carriedByPromises();
    while (changes < 5) {
      const had = connections;
      changes += 1;
      await until(() => connections > had, 'it connects anew');
    }
    await until(async () => (await carriedByPromises()) <= before, 'of all connections is left what is of one');
    await stop();
    await relay.stop();
  });
});

describe('certificates', () => {
  let gate: TlsGate;
  beforeAll(async () => {
    gate = await TlsGate.start(temporal.address, mkdtempSync(join(root, 'tls-')));
  });
  afterAll(() => gate.stop());

  /** Settings with the certificate of whoever is asked for at the time. */
  const settingsOf = (who: () => Client, authority = () => 'ca.pem'): (() => TemporalSettings) => {
    return () => ({
      connection: {
        address: gate.address,
        tls: {
          serverRootCACertificate: readFileSync(gate.file(authority())),
          clientCertPair: {
            crt: readFileSync(gate.file(`${who()}.pem`)),
            key: readFileSync(gate.file(`${who()}.key`)),
          },
        },
      },
      namespace: 'default',
    });
  };

  test('[A34] [B26] a renewed certificate is used without a restart, and the old one may then be revoked', async () => {
    let who: Client = 'first';
    const { states, contacts, is } = linked(settingsOf(() => who));
    await is('up');
    who = 'second';
    await until(() => gate.seen.includes('second'), 'it connects with the renewed certificate');
    gate.refuse('first');
    const turned = Date.now();
    await until(() => (contacts.at(-1) ?? 0) > turned + 1_000, 'contact goes on');
    expect(states.map(({ state }) => state)).not.toContain('down');
  });

  test('a revoked credential is down with its cause, and up with a good one', async () => {
    gate.refuse('first');
    gate.accept('second');
    let who: Client = 'first';
    const { is } = linked(settingsOf(() => who));
    await is('down', /127\.0\.0\.1:\d+ cannot be reached/);
    who = 'second';
    await is('up');
    gate.refuse('second');
    gate.hangUp();
    await is('down');
    gate.accept('second');
    await is('up');
  });

  test('[B7] a server of another authority, as a proxy that looks inside would be, is refused and named', async () => {
    gate.accept('first');
    let authority = 'second.pem';
    const { is, contacts } = linked(
      settingsOf(
        () => 'first',
        () => authority,
      ),
    );
    await is('down', /127\.0\.0\.1:\d+ cannot be reached: .*(certificate|issuer)/i);
    expect(contacts).toEqual([]);
    authority = 'ca.pem';
    await is('up');
  });
});

test('[B7] a captive portal answers everything with its own page, and is not taken for the centre', async () => {
  const portal = createServer((_, response) => response.end('<html>please log in</html>'));
  const port = await freePort();
  await new Promise<void>((resolve) => portal.listen(port, '127.0.0.1', resolve));
  let address = `127.0.0.1:${port}`;
  try {
    const { is, contacts } = linked(() => plain(address));
    await is('down', /127\.0\.0\.1:\d+ cannot be reached/);
    expect(contacts).toEqual([]);
    address = temporal.address;
    await is('up');
  } finally {
    await stop();
    portal.closeAllConnections();
    await new Promise((resolve) => portal.close(resolve));
  }
});
