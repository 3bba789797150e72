/** Epochs, enrolment and control keys at the site: a real agent over a real data directory. */
import { generateKeyPairSync } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KEYSET_PATH, type EnrolmentToken, type SignedKeyset } from '../../policies/model/enrolment.js';
import { keyIdOf, openToken, publicHalf, signKeyset, signToken } from '../../policies/signing/keyset.js';
import type { Agent } from '../../site/agent.js';
import { enrolSite, type EnrolRequest } from '../../site/local/enrol.js';
import { carryOut, directoryRelease, resultOf, TestSite, until } from './test-site.js';

let site: TestSite;
beforeEach(() => {
  site = new TestSite();
  site.write('live/conf/page', 'healthy original');
});
afterEach(() => site.clear());

const newKey = () => generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const DAY = 86_400_000;

function token(change: Partial<EnrolmentToken> = {}, signers = [site.privatePem], keys = signers) {
  const now = Date.now();
  const keyset = signKeyset(1, keys.map(publicHalf), keys, now);
  const body = { version: 1 as const, id: 't1', site: site.site, epoch: 1, depot: 'http://depot.example/', keyset };
  return signToken({ ...body, issuedAt: now, expiresAt: now + DAY, ...change }, signers);
}
function enrol(of: unknown, change: Partial<EnrolRequest> = {}) {
  const base = { token: of, configPath: site.path('etc', 'agent.yaml'), data: site.data, dryRun: false };
  return enrolSite({ ...base, now: Date.now(), ...change });
}
const pinned = () => ({ site: site.site, data: site.data, controlKeysPem: [site.publicPem] });
const ownFiles = (agent: Agent) => agent.report();

describe('enrol, offline', () => {
  it('writes agent.yaml and keys where there are none, and the identity into the store; repeating it changes nothing', async () => {
    const made = token();
    const dry = await enrol(made, { dryRun: true });
    expect([dry.how, dry.written.length, existsSync(site.path('etc'))]).toEqual(['first', 2, false]);
    const first = await enrol(made);
    expect(first).toMatchObject({ how: 'first', epoch: 1, keyset: { version: 1, ids: [keyIdOf(site.publicPem)] } });
    expect(readFileSync(site.path('etc', 'agent.yaml'), 'utf8')).toContain('site: "osl-01"');
    const again = await enrol(made, { now: Date.now() + 2 * DAY });
    expect([again.how, again.instance, again.written]).toEqual(['already', first.instance, []]);
    const report = await ownFiles(await site.start());
    expect(report).toMatchObject({
      epoch: 1,
      enrolment: { tokenId: 't1', instance: first.instance },
      keyset: { version: 1 },
    });
    expect(report.head).toMatch(/^[0-9a-f]{64}$/);
    // With it the site proves its epoch to a registry that has been put back.
    expect(openToken(report.enrolment?.token, [site.publicPem])).toMatchObject({ id: 't1', site: 'osl-01', epoch: 1 });
  });

  it('writes the files again after a crash that left only some of them', async () => {
    await enrol(token());
    rmSync(site.path('etc', 'agent.yaml'));
    expect((await enrol(token())).written).toEqual([site.path('etc', 'agent.yaml')]);
  });

  it('refuses a token that is tampered with, expired, for another site, or signed by a stranger', async () => {
    const good = token();
    const body = JSON.parse(Buffer.from(good.payload, 'base64').toString('utf8')) as EnrolmentToken;
    const payload = Buffer.from(JSON.stringify({ ...body, epoch: 9 })).toString('base64');
    await expect(enrol({ ...good, payload })).rejects.toMatchObject({ code: 'ENROLMENT_INVALID' });
    await expect(enrol(token({ expiresAt: Date.now() - 1 }))).rejects.toMatchObject({ code: 'ENROLMENT_EXPIRED' });
    await expect(enrol('no token')).rejects.toMatchObject({ code: 'ENROLMENT_INVALID' });
    const other = { config: pinned(), data: site.data };
    await expect(enrol(token({ site: 'osl-02' }), other)).rejects.toMatchObject({ code: 'ENROLMENT_INVALID' });
    const stranger = newKey();
    await expect(enrol(token({}, [stranger]), other)).rejects.toMatchObject({ code: 'KEYSET_REFUSED' });
    // A keyset of ours around a token that a stranger signed.
    const { keyset } = body;
    await expect(enrol(token({ keyset }, [stranger]), other)).rejects.toMatchObject({ code: 'ENROLMENT_INVALID' });
    expect(existsSync(site.path('etc'))).toBe(false);
  });

  it('trusts a stranger’s token only on a person’s word for its key', async () => {
    const stranger = newKey();
    const id = keyIdOf(publicHalf(stranger));
    const taken = { config: pinned() };
    await expect(enrol(token({}, [stranger]), { ...taken, trustKey: 'abc' })).rejects.toThrow(/expected the key abc/);
    await enrol(token({}, [stranger]), { ...taken, trustKey: id });
    const agent = await site.start();
    expect((await agent.report()).keyset).toEqual({ version: 1, keys: [id] });
  });

  it('takes the next epoch over a used data directory, keeps what is known there, and never goes back', async () => {
    let agent = await site.start();
    const good = site.publish(directoryRelease(site, '1.0.0'), { 'files/page': 'healthy 1' });
    await carryOut(agent, site, site.command(good));
    const last = (await agent.report()).sequence;
    const acked = { epoch: 1, sequence: last };
    await carryOut(
      agent,
      site,
      site.command(good, { verb: 'revert', digest: `sha256:${'9'.repeat(64)}`, generation: 2, ackedThrough: acked }),
    );
    await expect(enrol(token({ id: 't2', epoch: 2 }), { config: pinned() })).rejects.toMatchObject({
      code: 'AGENT_RUNNING',
    });
    await agent.stop();
    await enrol(token({ id: 't2', epoch: 2 }), { config: pinned() });
    await expect(enrol(token(), { config: pinned() })).rejects.toMatchObject({ code: 'WRONG_EPOCH' });
    const another = enrol(token({ id: 't3', epoch: 2 }), { config: pinned() });
    await expect(another).rejects.toMatchObject({ code: 'ENROLMENT_USED' });
    agent = await site.start();
    const report = await agent.report();
    expect(report).toMatchObject({ epoch: 2, sequence: 2, streams: { 'edge-proxy': { live: { version: '1.0.0' } } } });
    expect(agent.door.unacknowledged(10).map(({ epoch, kind }) => [epoch, kind])).toEqual([
      [2, 'enrolled'],
      [2, 'started'],
    ]);
  });
});

describe('a command for somebody else', () => {
  it('[A38] of another epoch, instance or journal is refused, changes nothing and is not remembered', async () => {
    const { instance = '' } = await enrol(token({ epoch: 2 }));
    const agent = await site.start();
    const good = site.publish(directoryRelease(site, '1.0.0'), { 'files/page': 'healthy 1' });
    const head = (await agent.report()).head ?? '';
    const wrong = { epoch: 2, sequence: 2, hash: 'f'.repeat(64) };
    const rows = [
      [{}, 'WRONG_EPOCH'],
      [{ epoch: 3 }, 'WRONG_EPOCH'],
      [{ epoch: 2, instance: 'another' }, 'ENROLMENT_USED'],
      [{ epoch: 2, instance, ackedThrough: wrong }, 'JOURNAL_FORKED'],
      [{ epoch: 2, instance, ackedThrough: { ...wrong, sequence: 99 } }, 'JOURNAL_FORKED'],
    ] as const;
    for (const verb of ['converge', 'revert'] as const)
      for (const [change, code] of rows) {
        const answer = await carryOut(agent, site, site.command(good, { verb, ...change }));
        expect(answer).toMatchObject({ result: 'rejected', changed: false, reason: { code } });
      }
    expect(readFileSync(site.path('live', 'conf', 'page'), 'utf8')).toBe('healthy original');
    const own = { epoch: 2, instance, ackedThrough: { epoch: 2, sequence: 2, hash: head } };
    expect(await carryOut(agent, site, site.command(good, own))).toMatchObject({ result: 'confirmed' });
  });

  it('[A38] of two agents on a copied disk, the one whose journal the centre has is commanded, the other refuses', async () => {
    await enrol(token());
    let agent = await site.start();
    await agent.stop();
    cpSync(site.data, site.path('copy'), { recursive: true });
    agent = await site.start();
    const copy = await site.start({ dataDirectory: site.path('copy') });
    const { instance } = (await agent.report()).enrolment ?? {};
    expect((await copy.report()).enrolment).toMatchObject({ tokenId: 't1', instance });
    const good = site.publish(directoryRelease(site, '1.0.0'), { 'files/page': 'healthy 1' });
    const { sequence, head = '' } = await agent.report();
    const command = site.command(good, { instance, ackedThrough: { epoch: 1, sequence, hash: head } });
    expect(await carryOut(copy, site, command)).toMatchObject({ reason: { code: 'JOURNAL_FORKED' } });
    expect(await carryOut(agent, site, command)).toMatchObject({ result: 'confirmed' });
  });
});

describe('control keys', () => {
  const keysOf = async (agent: Agent) => (await agent.report()).keyset;
  const refusal = async (agent: Agent, command: ReturnType<TestSite['command']>, ...keys: string[]) => {
    const { signCommand } = await import('../../policies/signing/dsse.js');
    await agent.door.accept(signCommand(command, ...keys));
    const settled = await agent.door.observe(command.id, AbortSignal.timeout(10_000), () => undefined);
    return resultOf(settled).reason?.code;
  };
  let nextKey: string;
  let publicKeys: { old: string; next: string };
  beforeEach(() => {
    nextKey = newKey();
    publicKeys = { old: site.publicPem, next: publicHalf(nextKey) };
  });
  const both = () => signKeyset(1, [publicKeys.old, publicKeys.next], [site.privatePem, nextKey], 0);
  const alone = () => signKeyset(2, [publicKeys.next], [site.privatePem, nextKey], 0);
  let count = 0;
  const revert = (keyset?: SignedKeyset) => {
    const nothing = { stream: 'edge-proxy', version: '9.9.9', digest: `sha256:${'9'.repeat(64)}` };
    return site.command(nothing, { verb: 'revert', generation: ++count, ...(keyset && { keyset }) });
  };

  it('[B26] learns both, then the new one alone; afterwards the old key alone is refused, also after a restart', async () => {
    let agent = await site.start();
    expect(await keysOf(agent)).toEqual({ version: 0, keys: [keyIdOf(publicKeys.old)] });
    expect(await refusal(agent, revert(), nextKey)).toBe('SIGNATURE_INVALID');
    expect(await refusal(agent, revert(both()), site.privatePem, nextKey)).toBe('NOT_LIVE');
    expect((await keysOf(agent))?.version).toBe(1);
    expect(await refusal(agent, revert(), site.privatePem)).toBe('NOT_LIVE');
    expect(await refusal(agent, revert(alone()), site.privatePem, nextKey)).toBe('NOT_LIVE');
    expect(await refusal(agent, revert(), site.privatePem)).toBe('SIGNATURE_INVALID');
    await agent.stop();
    agent = await site.start();
    expect(await keysOf(agent)).toEqual({ version: 2, keys: [keyIdOf(publicKeys.next)] });
    expect(await refusal(agent, revert(both()), site.privatePem)).toBe('SIGNATURE_INVALID');
    expect((await keysOf(agent))?.version).toBe(2);
    expect(await refusal(agent, revert(), nextKey)).toBe('NOT_LIVE');
    expect(agent.history(50).filter(({ kind }) => kind === 'keys-adopted')).toHaveLength(2);
  });

  it('a site that missed the whole rotation learns from the first command after it, which the old key never signed', async () => {
    const agent = await site.start();
    expect(await refusal(agent, revert(alone()), nextKey)).toBe('NOT_LIVE');
    expect((await keysOf(agent))?.version).toBe(2);
  });

  it('refuses keysets that a stranger signed, that nobody signed, and another of the same version', async () => {
    const agent = await site.start();
    const stranger = newKey();
    const theirs = signKeyset(9, [publicHalf(stranger)], [stranger], 0);
    expect(await refusal(agent, revert(theirs), stranger)).toBe('SIGNATURE_INVALID');
    expect(await refusal(agent, revert(theirs), site.privatePem)).toBe('NOT_LIVE');
    const altered = { ...alone(), payload: theirs.payload };
    expect(await refusal(agent, revert(altered), site.privatePem)).toBe('NOT_LIVE');
    expect((await keysOf(agent))?.version).toBe(0);
    await refusal(agent, revert(both()), site.privatePem);
    const conflict = signKeyset(1, [publicHalf(stranger)], [site.privatePem], 0);
    await refusal(agent, revert(conflict), site.privatePem);
    expect(await keysOf(agent)).toMatchObject({
      version: 1,
      keys: [publicKeys.old, publicKeys.next].map(keyIdOf).sort(),
    });
  });

  it('a crash right after adopting loses neither the keys nor the command', async () => {
    const agent = await site.start({
      onStep: (step) => {
        if (step === 'keys-adopted') throw new Error('crash');
      },
    });
    const command = revert(alone());
    await expect(refusal(agent, command, nextKey)).rejects.toThrow('crash');
    await agent.stop();
    const after = await site.start();
    expect((await keysOf(after))?.version).toBe(2);
    expect(await refusal(after, command, nextKey)).toBe('NOT_LIVE');
  });

  it('a person who pins other keys in agent.yaml is believed, and an older keyset still is not', async () => {
    let agent = await site.start();
    await refusal(agent, revert(alone()), nextKey);
    await agent.stop();
    const third = newKey();
    agent = await site.start({ controlKeysPem: [publicHalf(third)] });
    expect(await keysOf(agent)).toEqual({ version: 2, keys: [keyIdOf(publicHalf(third))] });
    expect(await refusal(agent, revert(signKeyset(1, [publicKeys.old], [third], 0)), third)).toBe('NOT_LIVE');
    expect((await keysOf(agent))?.keys).toEqual([keyIdOf(publicHalf(third))]);
  });

  it('learns from its depot without any command, and says so in its journal', async () => {
    const place = `${site.depot}/${KEYSET_PATH}`;
    mkdirSync(dirname(place), { recursive: true });
    writeFileSync(place, '{ "not": "a keyset" }');
    const agent = await site.start({ keysetEveryMs: 20 });
    writeFileSync(place, JSON.stringify(alone()));
    await until(() => agent.history(10).some(({ kind }) => kind === 'keys-adopted'));
    expect((await keysOf(agent))?.version).toBe(2);
  });

  it('keeps no private key, and the store is for its owner alone', async () => {
    const agent = await site.start();
    // The log and whatever else stands beside it hold commands and variables too.
    const files = readdirSync(site.data).filter((name) => name.startsWith('agent.db'));
    expect(files).toContain('agent.db-wal');
    for (const name of files) expect(statSync(join(site.data, name)).mode & 0o077, name).toBe(0);
    await agent.stop();
    await enrol(token());
    expect(readFileSync(`${site.data}/agent.db`).includes('PRIVATE KEY')).toBe(false);
  });
});
