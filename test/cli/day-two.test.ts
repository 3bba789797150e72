/** `fleet import|enrol|replace|retire`, `agent enrol` and `keys`: the command line over a real registry, key and data directory. */
import { generateKeyPairSync } from 'node:crypto';
import { cpSync, existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { chmod, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Command } from '../../policies/model/command.js';
import type { SiteEvent, SiteReport } from '../../policies/model/report.js';
import { openEnvelope } from '../../policies/signing/dsse.js';
import { claimedKeyset, claimedToken, keyIdOf, openKeyset, publicHalf } from '../../policies/signing/keyset.js';
import { readSigning, signFor } from '../../activities/control/signing.js';
import { readAddressees } from '../../activities/control/addressees.js';
import type { ControlDeps } from '../../activities/control/deps.js';
import { probeControlKey } from '../../cli/doctor/machine.js';
import { openRegistry } from '../../records/registry/open.js';
import type { Registry } from '../../records/registry/registry.js';
import { openAgent } from '../../site/open-agent.js';
import { foothold, json } from './operator.js';
import { testProject, type TestProject } from './project.js';

let project: TestProject;
const at = (...parts: string[]) => join(project.directory, ...parts);
const run = (...argv: string[]) => foothold(project.directory, argv);
const document = async (...argv: string[]) => json(await run(...argv, '--json')) as Record<string, unknown>;
const code = async (...argv: string[]) => {
  const said = await run(...argv, '--json');
  return [said.exit, (json(said) as { error?: { code: string } }).error?.code];
};
async function withRegistry<T>(work: (registry: Registry) => Promise<T>): Promise<T> {
  const registry = await openRegistry(`sqlite:${at('registry.db')}`);
  try {
    return await work(registry);
  } finally {
    await registry.close();
  }
}
const report = (site: string, more: Partial<SiteReport> = {}): SiteReport => ({
  ...{ site, at: Date.now(), epoch: 1, sequence: 0, agentVersion: '0', streams: {}, versions: {}, quarantined: [] },
  ...more,
});
const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

beforeEach(async () => {
  project = await testProject();
});

describe('fleet import', () => {
  it('imports by digest with the difference, and only says so with --dry-run', async () => {
    const dry = await document('fleet', 'import', '--dry-run');
    expect(dry).toMatchObject({ changed: true, sites: 6, dryRun: true });
    expect(existsSync(at('registry.db'))).toBe(false);
    expect(await document('fleet', 'import')).toMatchObject({ changed: true, sites: 6 });
    expect(await document('fleet', 'import')).toMatchObject({ changed: false, difference: [] });
    const fleet = await readFile(project.fleet, 'utf8');
    await writeFile(at('other.yaml'), fleet.replace('risk: low', 'risk: medium'));
    const changed = await document('fleet', 'import', 'other.yaml');
    expect(changed['difference']).toEqual(['sites[osl-01].risk: "low" → "medium"']);
  });

  it('takes an Ansible inventory: variables, groups, and a line for every host that cannot be a site', async () => {
    const hostvars = {
      'trd-01': { foothold_streams: 'edge-proxy, psk', foothold_risk: 'low', ansible_host: '10.0.0.1' },
      'TRD-02': { foothold_id: 'trd-2', foothold_region: 'arctic', foothold_vars: { workers: 4 } },
    };
    const inventory = {
      _meta: { hostvars },
      all: { children: ['region_north', 'ungrouped'] },
      region_north: { hosts: ['trd-01', 'TRD-02'] },
    };
    await writeFile(at('inventory.json'), JSON.stringify(inventory));
    expect(await document('fleet', 'import', '--ansible', 'inventory.json')).toMatchObject({ sites: 8 });
    const imported = await withRegistry((registry) => registry.latestDocument('fleet', 'fleet'));
    const { sites } = imported?.body as { sites: { id: string }[] };
    expect(sites.filter(({ id }) => id.startsWith('trd'))).toMatchObject([
      { id: 'trd-01', region: 'north', risk: 'low', streams: ['edge-proxy', 'psk'], vars: { workers: 2 } },
      { id: 'trd-2', region: 'arctic', risk: 'high', streams: ['edge-proxy'], vars: { workers: 4 } },
    ]);
    const wrong = {
      ...{ _meta: { hostvars: { 'a b': {}, c: { foothold_strems: 'x' }, d: { foothold_risk: 'none' } } } },
      ...{ region_x: { hosts: ['e'] }, region_y: { hosts: ['e'] } },
    };
    await writeFile(at('inventory.json'), JSON.stringify(wrong));
    const said = await run('fleet', 'import', '--ansible', 'inventory.json');
    expect(said.exit).toBe(2);
    for (const host of ['a b: id', 'c: unknown variable foothold_strems', 'd: risk', 'e: is in region_x and region_y'])
      expect(said.err).toContain(`host ${host}`);
  });

  it('refuses a retired id that is active, one that is back, and one that is left out unretired', async () => {
    const fleet = await readFile(project.fleet, 'utf8');
    const without = fleet.replace(/.*osl-03.*\n/, '');
    await run('fleet', 'import');
    await writeFile(at('without.yaml'), without);
    expect(await code('fleet', 'import', 'without.yaml')).toEqual([2, 'FLEET_INVALID']);
    expect((await run('fleet', 'retire', 'osl-03', '--reason', 'sold')).exit).toBe(0);
    expect((await run('fleet', 'import', 'without.yaml')).exit).toBe(0);
    const back = await run('fleet', 'import');
    expect([back.exit, back.err]).toEqual([2, expect.stringContaining('osl-03: is retired (tester: sold)')]);
  });
});

describe('fleet enrol and replace', () => {
  it('[A34] a token is taken in offline, its agent is bound, a replaced one refused, at both ends', async () => {
    await run('fleet', 'import');
    expect(await code('fleet', 'enrol', 'osl-99')).toEqual([2, 'SITE_NOT_FOUND']);
    expect(await document('fleet', 'enrol', 'osl-01', '--dry-run')).toMatchObject({ epoch: 1, dryRun: true });
    for (const expires of ['99999999999d', '3651d'])
      expect(await code('fleet', 'enrol', 'osl-01', '--expires', expires)).toEqual([2, 'BAD_ARGUMENT']);
    const made = await document('fleet', 'enrol', 'osl-01', '-o', 'osl-01.token');
    expect(made).toMatchObject({ site: 'osl-01', epoch: 1, keyset: { version: 1 } });
    expect(statSync(at('osl-01.token')).mode & 0o777).toBe(0o600);
    expect(readFileSync(at('osl-01.token'), 'utf8')).not.toContain('PRIVATE');
    expect(await code('fleet', 'enrol', 'osl-01', '-o', 'osl-01.token')).toEqual([2, 'FILE_EXISTS']);
    expect(await code('agent', 'enrol', 'osl-01.token', '--config', 'site/agent.yaml')).toEqual([2, 'BAD_ARGUMENT']);
    const enrol = ['agent', 'enrol', 'osl-01.token', '--config', 'site/agent.yaml', '--data', 'site/data'];
    expect(await document(...enrol)).toMatchObject({ how: 'first', epoch: 1 });
    expect((await run('validate', 'site/agent.yaml')).exit).toBe(0);
    const [reported, events] = await saidAt('site/data');
    await withRegistry(async (registry) => {
      await registry.recordSiteEvents(reported, events, Date.now());
      const { fields } = (await readAddressees({ registry } as ControlDeps, ['osl-01'])).get('osl-01') ?? {};
      const { instance } = reported.enrolment ?? {};
      const acked = { epoch: 1, sequence: reported.sequence, hash: reported.head };
      expect(fields).toEqual({ ackedThrough: acked, instance });
    });
    expect(await code('fleet', 'enrol', 'osl-01')).toEqual([2, 'ENROLMENT_USED']);
    expect(await code('fleet', 'replace', 'osl-01')).toEqual([2, 'BAD_ARGUMENT']);
    const next = await run('fleet', 'replace', 'osl-01', '--reason', 'new box');
    const token = claimedToken(JSON.parse(next.out));
    expect(token).toMatchObject({ epoch: 2 });
    await withRegistry(async (registry) => {
      await registry.recordReport(reported, Date.now());
      expect((await registry.siteAnomalies('osl-01', 1))[0]?.detail).toMatchObject({ reason: { code: 'WRONG_EPOCH' } });
      const addressees = await readAddressees({ registry } as ControlDeps, ['osl-01', 'osl-02']);
      expect(addressees.get('osl-01')).toEqual({ fields: { ackedThrough: { epoch: 2, sequence: 0 }, epoch: 2 } });
      expect(addressees.get('osl-02')).toEqual({ fields: { ackedThrough: { epoch: 1, sequence: 0 } } });
    });
  });

  async function saidAt(data: string): Promise<[SiteReport, SiteEvent[]]> {
    const pem = readFileSync(at('control.pub'), 'utf8');
    const options = { site: 'osl-01', dataDirectory: at(data), controlKeysPem: [pem], depot: at('depot'), log: silent };
    const agent = await openAgent(options);
    try {
      await agent.start();
      return [await agent.report(), agent.door.unacknowledged(10)];
    } finally {
      await agent.stop();
    }
  }
});

describe('fleet retire', () => {
  it('overrides the file without editing it, says what to write there, and takes the site out of every plan', async () => {
    await run('fleet', 'import');
    const before = readFileSync(project.fleet, 'utf8');
    expect(await code('fleet', 'retire', 'osl-02')).toEqual([2, 'BAD_ARGUMENT']);
    const dry = await document('fleet', 'retire', 'osl-02', '--reason', 'sold', '--dry-run');
    expect(dry).toMatchObject({ changed: false, dryRun: true, inFile: 'active' });
    const text = (await run('fleet', 'retire', 'osl-02', '--reason', 'sold')).out;
    expect(text).toContain('+   state: retired');
    expect(readFileSync(project.fleet, 'utf8')).toBe(before);
    const release = await project.release('1.0.0');
    const plan = await document('plan', release, 'steps');
    expect(plan['excluded']).toContainEqual({ site: 'osl-02', reason: 'state is retired' });
    expect(plan['excluded']).toContainEqual({ site: 'rig-02', reason: 'state is maintenance' });
    expect(JSON.stringify(plan['stages'])).not.toMatch(/osl-02|rig-02/);
    expect(await code('fleet', 'enrol', 'osl-02')).toEqual([2, 'SITE_RETIRED']);
  });
});

describe('keys rotate-control', () => {
  const SITES = ['osl-01', 'osl-02', 'osl-03', 'rig-01', 'rig-02', 'hub-01'];
  const rotate = (...argv: string[]) => run('keys', 'rotate-control', ...argv);
  const known = (version: number, keys: string[], sites = SITES) =>
    withRegistry(async (registry) => {
      for (const site of sites) await registry.recordReport(report(site, { keyset: { version, keys } }), Date.now());
    });
  const signers = () =>
    withRegistry(async (registry) => {
      const controlKeyPath = at('control.key');
      const deps = { registry, controlKeyPath, controlKeyPem: readFileSync(controlKeyPath, 'utf8') } as ControlDeps;
      const signing = await readSigning(deps);
      const digest = `sha256:${'0'.repeat(64)}`;
      const command: Command = {
        version: 1,
        id: 'r/osl-01/x/converge/1',
        rollout: 'x',
        site: 'osl-01',
        stream: 'x',
        verb: 'converge',
        generation: 1,
        try: 1,
        digest,
        releaseVersion: '1.0.0',
        vars: {},
        planDigest: digest,
        issuedAt: 1,
        allowed: false,
        ackedThrough: { epoch: 1, sequence: 0 },
      };
      return signFor(signing, command);
    });

  it('[B26] waits at each step for the sites, signs by both in between, and leaves one key of mode 0600', async () => {
    await run('fleet', 'import');
    const oldPub = readFileSync(at('control.pub'), 'utf8');
    const oldId = keyIdOf(oldPub);
    expect((await rotate('switch')).err).toContain('ROTATION_STEP');
    expect((await signers()).signatures).toHaveLength(1);
    const begun = await rotate('begin');
    expect([begun.exit, begun.err]).toEqual([0, '']);
    expect(statSync(at('control.key.next')).mode & 0o777).toBe(0o600);
    const newPub = publicHalf(readFileSync(at('control.key.next'), 'utf8'));
    const newId = keyIdOf(newPub);
    const both = await signers();
    expect(both.signatures.map(({ keyid }) => keyid)).toEqual([oldId, newId]);
    for (const pem of [oldPub, newPub]) expect(openEnvelope(both, [pem])?.keyset).toBeDefined();
    const published = JSON.parse(readFileSync(at('depot', 'control', 'keyset.json'), 'utf8')) as unknown;
    expect(openKeyset(published, [oldPub])).toMatchObject({ version: 1, keys: [{ id: oldId }, { id: newId }] });

    const early = await rotate('switch');
    expect([early.exit, early.err]).toEqual([2, expect.stringMatching(/KEYS_NOT_KNOWN[^]*rig-02/)]);
    await known(1, [oldId, newId], SITES.slice(0, 5));
    await known(1, [oldId, 'stranger'], ['hub-01']);
    expect(await document('keys', 'status')).toMatchObject({ sites: { foreign: ['hub-01'], behind: [] } });
    expect((await rotate('switch')).exit).toBe(2);
    expect((await rotate('switch', '--leave-behind', 'hub-01')).exit).toBe(0);
    expect((await signers()).signatures).toHaveLength(2);
    expect((await rotate('finish')).exit).toBe(2);
    await known(2, [newId], SITES.slice(0, 5));
    expect((await rotate('finish')).exit).toBe(2);
    const finished = await rotate('finish', '--leave-behind', 'hub-01');
    expect(finished.exit).toBe(0);
    expect([existsSync(at('control.key.next')), statSync(at('control.key')).mode & 0o777]).toEqual([false, 0o600]);
    expect(readFileSync(at('control.pub'), 'utf8')).toBe(newPub);
    const after = await signers();
    expect(after.signatures.map(({ keyid }) => keyid)).toEqual([newId]);
    expect(openEnvelope(after, [oldPub])).toBeUndefined();
    expect(openKeyset(openEnvelope(after, [newPub])?.keyset, [oldPub])).toMatchObject({ version: 2 });
    for (const said of [begun, finished]) expect(said.out + said.err).not.toContain('PRIVATE');
    expect(readFileSync(at('registry.db')).includes('PRIVATE KEY')).toBe(false);
    expect((await rotate('finish')).err).toContain('ROTATION_STEP');
  });

  it('goes on where a crash cut it short: with the key made and nothing recorded, and with the key moved and no end recorded', async () => {
    await run('fleet', 'import');
    const first = await rotate('begin', '--compromised');
    expect(first.exit).toBe(0);
    const next = readFileSync(at('control.key.next'), 'utf8');
    const id = keyIdOf(publicHalf(next));
    expect(await document('keys', 'status')).toMatchObject({
      keyset: { version: 1, keys: [id] },
      rotation: { phase: 'switched' },
    });
    // Killed after the rename, before the end was recorded.
    await writeFile(at('control.key'), next, { mode: 0o600 });
    await rm(at('control.key.next'));
    expect((await signers()).signatures.map(({ keyid }) => keyid)).toEqual([id]);
    expect((await rotate('finish', '--leave-behind', ...SITES)).exit).toBe(0);
    // Killed after the key was made, before anything was recorded: the key that is there is used.
    const made = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    await writeFile(at('control.key.next'), made, { mode: 0o600 });
    expect((await rotate('begin', '--leave-behind', ...SITES)).exit).toBe(0);
    expect((await document('keys', 'status'))['keyset']).toEqual({ version: 2, keys: [id, keyIdOf(publicHalf(made))] });
  });

  /** A whole rotation; returns the id of the key that it ends with. */
  async function rotated(left: string[]): Promise<string> {
    expect((await rotate('begin', '--leave-behind', ...left)).exit).toBe(0);
    expect((await rotate('switch', '--leave-behind', ...left)).exit).toBe(0);
    expect((await rotate('finish', '--leave-behind', ...left)).exit).toBe(0);
    return keyIdOf(readFileSync(at('control.pub'), 'utf8'));
  }

  it('[B26] begins no rotation over sites that the last one left behind: their keys would vouch for nothing to come', async () => {
    await run('fleet', 'import');
    const first = keyIdOf(readFileSync(at('control.pub'), 'utf8'));
    const second = await rotated(SITES);
    await known(2, [second], SITES.slice(1));
    await known(0, [first], ['osl-01']);
    const early = await rotate('begin');
    expect([early.exit, early.err]).toEqual([2, expect.stringMatching(/KEYS_NOT_KNOWN[^]*osl-01/)]);
    expect(existsSync(at('control.key.next'))).toBe(false);
    expect(await document('keys', 'status')).toMatchObject({ next: 'wait for osl-01', sites: { behind: ['osl-01'] } });
    expect(await document('keys', 'rotate-control', 'begin', '--dry-run')).toMatchObject({ missing: ['osl-01'] });
    // An older keyset with a key of the one now is enough.
    await known(1, [first, second], ['osl-01']);
    expect(await document('keys', 'rotate-control', 'begin', '--dry-run')).toMatchObject({ missing: [] });
    await known(2, [first], ['osl-01']);
    // Others have the key: there is no time to wait, but whoever is lost is named.
    const hasty = await rotate('begin', '--compromised');
    expect([hasty.exit, hasty.out]).toEqual([
      0,
      expect.stringMatching(/refuse every command[^]*osl-01[^]*fleet replace/),
    ]);
  });

  it('signs nothing with a control key that sites no longer trust, and says which one they do', async () => {
    await run('fleet', 'import');
    const old = readFileSync(at('control.key'), 'utf8');
    const first = keyIdOf(publicHalf(old));
    expect((await rotate('begin')).exit).toBe(0);
    const aside = readFileSync(at('control.key'), 'utf8');
    const stranger = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    await writeFile(at('control.key'), stranger);
    await expect(signers()).rejects.toMatchObject({ code: 'CONTROL_KEY' });
    await writeFile(at('control.key'), aside);
    for (const step of ['switch', 'finish']) expect((await rotate(step, '--leave-behind', ...SITES)).exit).toBe(0);
    const second = keyIdOf(readFileSync(at('control.pub'), 'utf8'));
    expect((await signers()).signatures).toHaveLength(1);
    // An old copy is put back.
    await writeFile(at('control.key'), old);
    const both = expect.stringMatching(new RegExp(`${second}[^]*${first}`)) as unknown;
    await expect(signers()).rejects.toMatchObject({ code: 'CONTROL_KEY', message: both });
    expect(await code('fleet', 'replace', 'osl-01', '--reason', 'new box')).toEqual([2, 'CONTROL_KEY']);
    expect(await withRegistry((registry) => registry.identities(['osl-01']))).toEqual(new Map());
    const checks = await probeControlKey(at('control.key'), () => withRegistry((registry) => registry.controlKeys()));
    expect(checks).toMatchObject([{ result: 'missing', detail: both }]);
  });

  it('goes on above the keysets that the depot and the sites have, with a registry that was lost or put back', async () => {
    await run('fleet', 'import');
    const path = at('depot', 'control', 'keyset.json');
    const there = () => claimedKeyset(JSON.parse(readFileSync(path, 'utf8')));
    expect((await rotate('begin')).exit).toBe(0);
    for (const step of ['switch', 'finish']) expect((await rotate(step, '--leave-behind', ...SITES)).exit).toBe(0);
    const second = keyIdOf(readFileSync(at('control.pub'), 'utf8'));
    const files = () => readdirSync(project.directory).filter((name) => name.startsWith('registry.db'));
    for (const name of files()) cpSync(at(name), at('copy', name));
    expect(await rotated(SITES)).not.toBe(second);
    const third = keyIdOf(readFileSync(at('control.pub'), 'utf8'));
    expect(there()?.version).toBe(4);
    // Put back to before the second rotation: the key here is not of the keyset there.
    for (const name of files()) await rm(at(name));
    cpSync(at('copy'), project.directory, { recursive: true });
    expect(await code('keys', 'rotate-control', 'begin', '--leave-behind', ...SITES)).toEqual([2, 'CONTROL_KEY']);
    expect(await document('keys', 'recover')).toEqual({ keyset: { version: 4, keys: [third] } });
    expect(await code('keys', 'recover')).toEqual([2, 'KEYSET_REFUSED']);
    expect((await signers()).signatures.map(({ keyid }) => keyid)).toEqual([third]);
    // Lost: the next one is above the depot's, and above what a site reports.
    for (const name of files()) await rm(at(name));
    await withRegistry((registry) =>
      registry.recordReport(report('osl-02', { keyset: { version: 7, keys: [third] } }), 1),
    );
    await run('fleet', 'import');
    expect(await document('fleet', 'enrol', 'osl-01')).toMatchObject({ keyset: { version: 8 } });
    expect(there()?.version).toBe(4);
    expect((await rotate('begin', '--leave-behind', ...SITES)).exit).toBe(0);
    expect(there()?.version).toBe(9);
  });

  it('refuses a key that others can read', async () => {
    await chmod(at('control.key'), 0o644);
    expect(await code('keys', 'rotate-control', 'begin')).toEqual([2, 'CONTROL_KEY']);
    expect(existsSync(at('control.key.next'))).toBe(false);
  });
});
