/** `agent enrol`: takes a token in at the site, without any network and while no agent runs there. Every step can be repeated. */
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { MistakeError, WorldError } from '../../policies/model/failure.js';
import type { EnrolmentToken, Keyset } from '../../policies/model/enrolment.js';
import { claimedKeyset, claimedToken, keyIdOf, openKeyset, openToken } from '../../policies/signing/keyset.js';
import { decideEnrolment, type EnrolmentDecision } from '../../policies/site/decide-enrolment.js';
import { makeDirectory, placeFile } from '../files/durable.js';
import { lockDirectory, openDatabase } from '../store/database.js';
import { Store } from '../store/store.js';
import { keepTrust, readTrust } from '../trust.js';

export interface EnrolRequest {
  /** The token as it was read from its file. */
  token: unknown;
  /** Where agent.yaml is, or is to be. */
  configPath: string;
  /** What agent.yaml says, if there is one. */
  config?: { site: string; data: string; controlKeysPem: string[] };
  /** Needed where there is no agent.yaml yet. */
  data?: string;
  /** A person at the site vouches for the key of this id, whatever the site trusted so far. */
  trustKey?: string;
  dryRun: boolean;
  now: number;
}

export interface Enrolled {
  site: string;
  epoch: number;
  tokenId: string;
  instance?: string;
  /** What was, or would be, done with the data directory. */
  how: Exclude<EnrolmentDecision['kind'], 'refuse'>;
  keyset: { version: number; ids: string[] };
  data: string;
  /** Files that were, or would be, written. */
  written: string[];
  dryRun: boolean;
}

/** Throws MistakeError ENROLMENT_*, KEYSET_REFUSED, WRONG_EPOCH, AGENT_RUNNING, BAD_ARGUMENT; WorldError FILE_NOT_WRITTEN, STORE_BROKEN. */
export async function enrolSite(request: EnrolRequest): Promise<Enrolled> {
  const data = dataDirectoryOf(request);
  const token = claimedToken(request.token);
  if (!token) throw invalid('expected an enrolment token as `foothold fleet enrol` writes it');
  if (request.config && request.config.site !== token.site) {
    throw invalid(`the token is for site ${token.site}, ${request.configPath} says ${request.config.site}`);
  }
  if (request.dryRun && !existsSync(join(data, 'agent.db'))) {
    return plannedFor(request, token, data);
  }
  const created = !existsSync(data);
  if (created) await makeDirectory(data);
  return withStore(data, token.site, async (store) => {
    const keyset = trustedKeyset(request, store, token);
    const how = decided(store, token, request.now);
    const { dryRun } = request;
    const written = dryRun ? missingFiles(request, keyset) : await writeFiles(request, token, keyset, data);
    if (!dryRun && how !== 'already') enrolStore(request, store, token, keyset, how);
    return answerOf({ token, keyset, data, written, how, dryRun }, store.fact('instance'));
  });
}

function plannedFor(request: EnrolRequest, token: EnrolmentToken, data: string): Enrolled {
  const keyset = provenKeyset(request, token, request.config?.controlKeysPem, undefined);
  const decision = decideEnrolment({}, token, request.now);
  if (decision.kind === 'refuse') throw new MistakeError(decision.reason.code, decision.reason.detail);
  const written = missingFiles(request, keyset);
  return answerOf({ token, keyset, data, written, how: decision.kind, dryRun: true }, undefined);
}

function answerOf(
  of: Pick<Enrolled, 'data' | 'written' | 'how' | 'dryRun'> & { token: EnrolmentToken; keyset: Keyset },
  instance: string | undefined,
): Enrolled {
  const { token, keyset, ...rest } = of;
  const { site, epoch, id: tokenId } = token;
  const ids = keyset.keys.map(({ pem }) => keyIdOf(pem));
  const known = instance === undefined ? {} : { instance };
  return { site, epoch, tokenId, ...known, keyset: { version: keyset.version, ids }, ...rest };
}

function dataDirectoryOf({ config, data, configPath }: EnrolRequest): string {
  if (config && data !== undefined && resolve(data) !== resolve(config.data)) {
    throw new MistakeError('BAD_ARGUMENT', `expected --data ${config.data}, as ${configPath} says, got ${data}`);
  }
  const directory = config?.data ?? data;
  if (directory === undefined) {
    throw new MistakeError('BAD_ARGUMENT', `expected --data DIR, got none, and there is no ${configPath} that says it`);
  }
  return resolve(directory);
}

async function withStore<T>(data: string, site: string, work: (store: Store) => Promise<T>): Promise<T> {
  const unlock = lockDirectory(data);
  try {
    const store = new Store(openDatabase(data), site, Date.now);
    try {
      const owner = store.fact('site');
      if (owner !== undefined && owner !== site) {
        throw invalid(`the token is for site ${site}, ${data} is the data directory of ${owner}`);
      }
      return await work(store);
    } finally {
      store.close();
    }
  } finally {
    unlock();
  }
}

function decided(store: Store, token: EnrolmentToken, now: number): Enrolled['how'] {
  const known =
    store.fact('site') === undefined ? {} : { epoch: store.number('epoch'), tokenId: store.fact('tokenId') };
  const decision = decideEnrolment(known, token, now);
  if (decision.kind === 'refuse') throw new MistakeError(decision.reason.code, decision.reason.detail);
  return decision.kind;
}

function trustedKeyset(request: EnrolRequest, store: Store, token: EnrolmentToken): Keyset {
  const pinned = request.config?.controlKeysPem;
  const kept = store.fact('keyset') === undefined ? pinned : readTrust(store, pinned ?? []).pems;
  const version = store.fact('keyset') === undefined ? 0 : readTrust(store, pinned ?? []).version;
  return provenKeyset(request, token, kept?.length === 0 ? undefined : kept, version);
}

/** The token's keyset, if it and the token are proven: by the person, by what the site trusts, or, first of all, by itself. */
function provenKeyset(
  request: EnrolRequest,
  token: EnrolmentToken,
  trusted: string[] | undefined,
  version: number | undefined,
): Keyset {
  const claimed = claimedKeyset(token.keyset);
  if (!claimed) throw invalid('the token carries no keyset that can be used');
  const own = claimed.keys.map(({ pem }) => pem);
  const vouched = request.trustKey === undefined ? undefined : own.filter((pem) => keyIdOf(pem) === request.trustKey);
  if (vouched?.length === 0) {
    throw invalid(
      `expected the key ${request.trustKey} of --trust-key in the token, it has ${own.map(keyIdOf).join(', ')}`,
    );
  }
  const believed = vouched ?? trusted ?? own;
  if (!openKeyset(token.keyset, believed)) throw refusedKeys(token, own, trusted);
  if (!openToken(request.token, [...own, ...believed]))
    throw invalid('no control key that this site trusts has signed the token');
  // An older keyset would bring back a key that was given up since; only a person at the site may say so.
  if (vouched === undefined && claimed.version < (version ?? 0)) {
    throw new MistakeError(
      'KEYSET_REFUSED',
      `the token's keyset ${claimed.version} is older than ${version}, which this site trusts`,
    );
  }
  return claimed;
}

function refusedKeys(token: EnrolmentToken, own: string[], trusted: string[] | undefined): MistakeError {
  if (trusted === undefined) return invalid('the keyset of the token is not signed by its own keys');
  const message = `the token for ${token.site} brings the control keys ${own.map(keyIdOf).join(', ')}, and no key that this site trusts (${trusted.map(keyIdOf).join(', ')}) has signed them`;
  return new MistakeError('KEYSET_REFUSED', message, [
    'compare the ids with `foothold keys status` at the centre, by telephone for instance',
    'if they are right: foothold agent enrol … --trust-key ID',
  ]);
}

function enrolStore(
  { config, token: signed }: EnrolRequest,
  store: Store,
  token: EnrolmentToken,
  keyset: Keyset,
  how: Enrolled['how'],
): void {
  const pinned = config?.controlKeysPem ?? keyset.keys.map(({ pem }) => pem);
  store.transact(() => {
    store.putFact('site', token.site);
    store.putFact('epoch', token.epoch);
    store.putFact('tokenId', token.id);
    store.putFact('token', JSON.stringify(signed));
    store.putFact('instance', randomUUID());
    // A journal of the next epoch begins at 1, and nothing of it is recorded at the centre.
    if (how === 'next-epoch') store.putFact('ackedThrough', 0);
    keepTrust(store, keyset, pinned);
    store.raiseFact('timeFloor', token.issuedAt);
    store.append({ kind: 'enrolled', detail: { epoch: token.epoch, tokenId: token.id, keyset: keyset.version, how } });
  });
}

const keyFile = (id: string): string => `control-${id}.pub`;

function filesOf({ configPath, config }: EnrolRequest, { keys }: Keyset): { path: string; pem?: string }[] {
  if (config) return [];
  const directory = dirname(configPath);
  const pins = keys.map(({ pem }) => ({ path: join(directory, keyFile(keyIdOf(pem))), pem }));
  return [...pins, { path: configPath }];
}

function missingFiles(request: EnrolRequest, keyset: Keyset): string[] {
  return filesOf(request, keyset)
    .map(({ path }) => path)
    .filter((path) => !existsSync(path));
}

/** agent.yaml last: while it is missing, nothing relies on the keys beside it. */
async function writeFiles(
  request: EnrolRequest,
  token: EnrolmentToken,
  keyset: Keyset,
  data: string,
): Promise<string[]> {
  const written: string[] = [];
  try {
    await makeDirectory(dirname(request.configPath));
    for (const { path, pem } of filesOf(request, keyset)) {
      const text = pem ?? agentFile(token, keyset, data);
      if (existsSync(path)) {
        if (readFileSync(path, 'utf8').trim() === text.trim()) continue;
        throw new MistakeError('FILE_EXISTS', `expected no other file at ${path}; move it away`);
      }
      await placeFile(path, 0o644, async (file) => file.writeFile(text));
      written.push(path);
    }
  } catch (error) {
    if (error instanceof MistakeError) throw error;
    throw new WorldError('FILE_NOT_WRITTEN', `expected to write ${request.configPath} and its keys, could not`, {
      cause: error,
    });
  }
  return written;
}

/** JSON text is YAML too, whatever a path holds. */
function agentFile(token: EnrolmentToken, keyset: Keyset, data: string): string {
  const keys = keyset.keys.map(({ pem }) => keyFile(keyIdOf(pem)));
  return [
    '# Written by `foothold agent enrol`. What else an agent can be told is in docs/operating/sites.md.',
    'apiVersion: foothold/v1',
    'kind: Agent',
    `site: ${JSON.stringify(token.site)}`,
    `data: ${JSON.stringify(data)}`,
    `controlKeys: ${JSON.stringify(keys)}`,
    `depot: ${JSON.stringify(token.depot)}`,
    '',
  ].join('\n');
}

function invalid(message: string): MistakeError {
  return new MistakeError('ENROLMENT_INVALID', message);
}
