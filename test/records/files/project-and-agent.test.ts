import { generateKeyPairSync } from 'node:crypto';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadAgent } from '../../../records/files/agent-file.js';
import { loadProject, resolveProject } from '../../../records/files/project-file.js';
import { changed, refusalOf, written } from './written.js';

const PROJECT = `apiVersion: foothold/v1
kind: Project
depot: { read: "http://127.0.0.1:8081/" }
`;
const AGENT = `apiVersion: foothold/v1
kind: Agent
site: osl-01
data: state
controlKeys: [control-1.pub]
depot: http://depot.example/
metrics: 127.0.0.1:9464
reports: { firmware: [/usr/bin/fw, --version] }
`;

const { publicKey, privateKey } = generateKeyPairSync('ed25519');
const PUBLIC = publicKey.export({ type: 'spki', format: 'pem' }) as string;
const PRIVATE = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
const RSA = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ type: 'spki', format: 'pem' });

describe('[A20] foothold.yaml', () => {
  it('is read with its defaults, and its paths start at its own directory', async () => {
    const directory = await written({ 'foothold.yaml': PROJECT });
    const loaded = await loadProject(join(directory, 'foothold.yaml'));
    expect(loaded.filled).toEqual({
      apiVersion: 'foothold/v1',
      kind: 'Project',
      fleet: 'fleet.yaml',
      strategies: 'strategies/',
      depot: { write: 'depot/', read: 'http://127.0.0.1:8081/' },
      registry: 'sqlite:registry.db',
      controlKey: 'control.key',
    });
    expect(resolveProject(loaded)).toEqual({
      ...loaded.project,
      fleet: join(directory, 'fleet.yaml'),
      strategies: join(directory, 'strategies/'),
      depot: { write: join(directory, 'depot/'), read: 'http://127.0.0.1:8081/' },
      registry: `sqlite:${join(directory, 'registry.db')}`,
      controlKey: join(directory, 'control.key'),
    });
    const absolute = { ...loaded.project, controlKey: '/etc/k', registry: 'sqlite:/var/r.db' };
    expect(resolveProject({ ...loaded, project: absolute })).toMatchObject({
      controlKey: '/etc/k',
      registry: 'sqlite:/var/r.db',
    });
  });

  it.each([
    ['windows', 'kind: Project', 'kind: Project\nwindows: w.yaml', '3:1: `windows` is not available yet'],
    ['guardrails', 'kind: Project', 'kind: Project\nguardrails: g.yaml', '3:1: `guardrails` is not available yet'],
    ['S3', '{ read', '{ write: "s3://b", read', '3:10: depot: `write: s3://` is not available yet'],
    [
      'another registry',
      'kind: Project',
      'kind: Project\nregistry: registry.db',
      '3:11: registry: expected `sqlite:` and a path, such as sqlite:registry.db, or `postgres://`, found `registry.db`',
    ],
    [
      'a mistyped address with a password',
      'kind: Project',
      'kind: Project\nregistry: postgress://kari:s3cret/w:rd@h/d',
      '3:11: registry: expected `sqlite:` and a path, such as sqlite:registry.db, or `postgres://`, found `postgress://kari:…@h/d`',
    ],
    [
      'no depot',
      'depot: { read: "http://127.0.0.1:8081/" }\n',
      '',
      '1:1: `depot` is missing: expected a map of keys and values',
    ],
    [
      'a depot that is no address',
      '"http://127.0.0.1:8081/"',
      'depot/',
      '3:16: depot.read: expected an address that begins with http:// or https://, found `depot/`',
    ],
    [
      'a mistyped key',
      'kind: Project',
      'kind: Project\nstrategie: s/',
      '3:1: unknown key `strategie`; the nearest known key is `strategies`',
    ],
  ])('[A26] is refused: %s', async (_, from, to, finding) => {
    const directory = await written({ 'foothold.yaml': changed(PROJECT, from, to) });
    expect(await refusalOf(directory, loadProject(join(directory, 'foothold.yaml')))).toEqual({
      code: 'FILE_INVALID',
      findings: [`foothold.yaml:${finding}`],
    });
  });
});

describe('[A20] agent.yaml', () => {
  const refused = async (text: string, key?: string) => {
    const directory = await written({ 'agent.yaml': text, ...(key !== undefined && { 'control-1.pub': key }) });
    const { code, findings } = await refusalOf(directory, loadAgent(join(directory, 'agent.yaml')));
    expect(code).toBe('FILE_INVALID');
    return findings;
  };

  it('is read with its paths resolved and its control keys in hand', async () => {
    const text = `${AGENT}secrets: s\nuplink: [https://a.example/echo]\nprofile: default\n`;
    const directory = await written({ 'agent.yaml': text, 'control-1.pub': PUBLIC });
    const loaded = await loadAgent(join(directory, 'agent.yaml'));
    expect(loaded.agent).toMatchObject({
      site: 'osl-01',
      data: join(directory, 'state'),
      controlKeys: [join(directory, 'control-1.pub')],
      secrets: join(directory, 's'),
      profile: 'default',
    });
    expect(loaded.controlKeysPem).toEqual([PUBLIC]);
    expect(loaded.filled).toMatchObject({ data: 'state', controlKeys: ['control-1.pub'] });
  });

  it('says when drift may be put back, and a window that is none is refused with its place', async () => {
    const windows = (zone: string) => `${AGENT}repairs: { windows: [{ from: "22:00", to: "04:00", zone: ${zone} }] }\n`;
    const directory = await written({ 'agent.yaml': windows('Europe/Oslo'), 'control-1.pub': PUBLIC });
    const { agent } = await loadAgent(join(directory, 'agent.yaml'));
    expect(agent.repairs?.windows).toEqual([{ from: '22:00', to: '04:00', zone: 'Europe/Oslo' }]);
    const [finding] = await refused(windows('Europe/Olso'), PUBLIC);
    expect(finding).toContain('such as Europe/Oslo or UTC');
  });

  it.each([
    ['that is not there', undefined, 'expected a file, found nothing there'],
    ['that is the private half', PRIVATE, 'found a private key: it must never be at a site'],
    ['of another algorithm', RSA as string, 'found a key of type rsa'],
    ['that is no key', 'hello', 'found something else'],
    ['that is binary', '\0', 'found a binary file'],
  ])('[A26] is refused with a control key %s', async (_, key, message) => {
    const findings = await refused(AGENT, key);
    expect(findings).toHaveLength(1);
    expect(findings[0]).toMatch(/^agent\.yaml:5:15: controlKeys\[0\]: control-1\.pub: expected /);
    expect(findings[0]).toContain(message);
  });

  it.each([
    [
      'no control key at all',
      '[control-1.pub]',
      '[]',
      '5:14: controlKeys: expected a list of at least one entry, found an empty list',
    ],
    [
      'a metrics address without a port',
      '127.0.0.1:9464',
      '127.0.0.1',
      '7:10: metrics: expected a host and a port, such as 127.0.0.1:9464, found `127.0.0.1`',
    ],
    [
      'a port that is none',
      '127.0.0.1:9464',
      '127.0.0.1:99999',
      '7:10: metrics: expected a port of at most 65535, found `127.0.0.1:99999`',
    ],
    [
      'a report that is one string',
      '[/usr/bin/fw, --version]',
      '/usr/bin/fw',
      '8:22: reports.firmware: expected a program and its arguments as a list, such as [nginx, -s, reload], found `/usr/bin/fw`',
    ],
    [
      'an unknown key',
      'site: osl-01',
      'site: osl-01\ndepto: x',
      '4:1: unknown key `depto`; the nearest known key is `depot`',
    ],
  ])('[A26] is refused: %s', async (_, from, to, finding) => {
    expect(await refused(changed(AGENT, from, to), PUBLIC)).toEqual([`agent.yaml:${finding}`]);
  });
});
