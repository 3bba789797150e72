import { generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Envelope } from '../../policies/model/command.js';
import { blobPath, manifestPath } from '../../policies/model/depot.js';
import { canonicalJson, sha256Hex } from '../../policies/signing/jcs.js';
import { judgeSiteEvents } from '../../policies/signing/chain.js';
import { carryOut, directoryRelease, resultOf, TestSite, until } from './test-site.js';

let site: TestSite;
const page = () => readFileSync(site.path('live', 'conf', 'page'), 'utf8');
/** Watches for long, so that what arrives meanwhile finds it unfinished. */
const slow = { confirm: { within: '1m', healthyFor: '30s' } };

beforeEach(() => {
  site = new TestSite();
  site.write('live/conf/page', 'healthy original');
});
afterEach(() => site.clear());

const observe = (agent: Awaited<ReturnType<TestSite['open']>>, id: string) =>
  agent.door.observe(id, AbortSignal.timeout(10_000), () => undefined);

describe('the door', () => {
  it('[A59] [A38] refuses what no pinned key signed, and does not let it decide what an id means', async () => {
    const agent = await site.start();
    const good = site.publish(directoryRelease(site, '1.0.0'), { 'files/page': 'healthy 1' });
    const command = site.command(good);
    const stranger = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    expect(await agent.door.accept(site.sign(command, stranger))).toEqual({ commandId: command.id, state: 'rejected' });
    const refused = resultOf(await observe(agent, command.id));
    expect(refused).toMatchObject({ result: 'rejected', reason: { code: 'SIGNATURE_INVALID' } });
    const envelope = site.sign(command);
    const tampered: Envelope = {
      ...envelope,
      payload: Buffer.from(canonicalJson({ ...command, generation: 9 })).toString('base64'),
    };
    expect((await agent.door.accept(tampered)).state).toBe('rejected');
    expect(await carryOut(agent, site, command)).toMatchObject({ result: 'confirmed' });
  });

  it('refuses a command for another site, and a release of another stream', async () => {
    const agent = await site.start();
    const good = site.publish(directoryRelease(site, '1.0.0'), { 'files/page': 'healthy 1' });
    const other = site.command(good, { site: 'osl-02', id: 'run/osl-02/edge-proxy/converge/1' });
    expect(await carryOut(agent, site, other)).toMatchObject({ result: 'rejected', reason: { code: 'WRONG_SITE' } });
    const stream = site.command(good, { stream: 'firewall-policy' });
    expect(await carryOut(agent, site, stream)).toMatchObject({ result: 'rejected', reason: { code: 'WRONG_SITE' } });
    expect(page()).toBe('healthy original');
  });

  it('answers the same id with the same result, and switches once', async () => {
    const agent = await site.start();
    const good = site.publish(directoryRelease(site, '1.0.0'), { 'files/page': 'healthy 1' });
    const command = site.command(good);
    await Promise.all([agent.door.accept(site.sign(command)), agent.door.accept(site.sign(command))]);
    const first = resultOf(await observe(agent, command.id));
    expect(await carryOut(agent, site, command)).toEqual(first);
    expect(agent.history(100).filter((event) => event.kind === 'switching')).toHaveLength(1);
  });

  it('[B72] refuses a lower or equal order under another id as STALE, for good, and leaves the stream alone', async () => {
    const agent = await site.start();
    const good = site.publish(directoryRelease(site, '1.0.0', slow), { 'files/page': 'healthy 1' });
    await agent.door.accept(site.sign(site.command(good, { generation: 5, try: 2 })));
    for (const order of [
      { generation: 4, try: 9 },
      { generation: 5, try: 1 },
      { generation: 5, try: 2, id: 'another' },
    ]) {
      const stale = site.command(good, { id: `stale-${JSON.stringify(order)}`, ...order });
      expect(await carryOut(agent, site, stale)).toMatchObject({ result: 'rejected', reason: { code: 'STALE' } });
    }
    await until(() => page() === 'healthy 1');
    expect((await agent.report()).streams['edge-proxy']).toMatchObject({ generation: 5, try: 2 });
  });

  it('does not look for ever at a check that alternates: it is too late at switchBy, and the words name the check', async () => {
    const agent = await site.start();
    const flap = site.write('flap', '');
    const exec = ['sh', '-c', `if [ -e ${flap} ]; then rm ${flap}; exit 1; else touch ${flap}; fi`];
    const checks = [{ name: 'flaps', exec, every: '50ms', failures: 3, passes: 2 }];
    const one = site.publish(directoryRelease(site, '1.0.0', { checks }), { 'files/page': 'healthy 1' });
    const begun = Date.now();
    const late = await carryOut(agent, site, site.command(one, { issuedAt: begun, switchBy: begun + 1_500 }));
    expect(late).toMatchObject({
      ...{ result: 'rejected', changed: false },
      reason: { code: 'SWITCH_BY_PASSED', detail: expect.stringContaining('check flaps is neither') as string },
    });
    expect(Date.now() - begun).toBeLessThan(4_000);
    // One whose next sample is due long after it as well.
    site.write('flap', '');
    const rare = { checks: [{ ...checks[0], every: '1h' }] };
    const two = site.publish(directoryRelease(site, '2.0.0', rare), { 'files/page': 'healthy 2' });
    const soon = { generation: 2, issuedAt: Date.now(), switchBy: Date.now() + 1_000 };
    expect(await carryOut(agent, site, site.command(two, soon))).toMatchObject({
      reason: { code: 'SWITCH_BY_PASSED' },
    });
    expect(page()).toBe('healthy original');
  });

  it('does not begin switching past switchBy, by the clock, the time floor, or the time elapsed here', async () => {
    const clock = { now: () => 1_000, elapsed: () => performance.now(), bootId: () => 'boot' };
    const agent = await site.start({ clock });
    const good = site.publish(directoryRelease(site, '1.0.0'), { 'files/page': 'healthy 1' });
    // The site's clock stands at 1970: only the floor raised by a later command shows that the time is up.
    const floor = site.command(good, { id: 'floor', stream: 'other', verb: 'revert', generation: 1, issuedAt: 50_000 });
    await agent.door.accept(site.sign(floor));
    const late = site.command(good, { issuedAt: 10_000, switchBy: 40_000 });
    expect(await carryOut(agent, site, late)).toMatchObject({
      result: 'rejected',
      reason: { code: 'SWITCH_BY_PASSED' },
    });
    const slowBefore = { before: { exec: ['sleep', '0.4'] } };
    const drags = site.publish(directoryRelease(site, '1.0.1', slowBefore), { 'files/page': 'healthy 1' });
    const elapsed = site.command(drags, { generation: 2, issuedAt: 60_000, switchBy: 60_200 });
    expect(await carryOut(agent, site, elapsed)).toMatchObject({
      result: 'rejected',
      reason: { code: 'SWITCH_BY_PASSED' },
    });
    expect(page()).toBe('healthy original');
  });

  it('[A32] a revert supersedes the converge it finds watching; both observers end with their own results', async () => {
    const agent = await site.start();
    const good = site.publish(directoryRelease(site, '1.0.0', slow), { 'files/page': 'healthy 1' });
    const converge = site.command(good);
    await agent.door.accept(site.sign(converge));
    const observed = observe(agent, converge.id);
    await until(() => page() === 'healthy 1');
    await until(() => agent.history(50).some((event) => event.kind === 'watching'));
    const result = await carryOut(agent, site, site.command(good, { verb: 'revert', generation: 2 }));
    expect(result).toMatchObject({
      result: 'reverted',
      changed: true,
      cause: 'command',
      previous: { result: 'superseded', commandId: converge.id },
    });
    expect(resultOf(await observed)).toMatchObject({ result: 'superseded', reason: { code: 'SUPERSEDED' } });
    expect(page()).toBe('healthy original');
    expect((await agent.report()).quarantined).toEqual([]);
  });

  it('a newer converge undoes an unconfirmed release first, so that only confirmed ones are gone back to', async () => {
    const agent = await site.start();
    const first = site.publish(directoryRelease(site, '1.0.0', slow), { 'files/page': 'healthy 1' });
    await agent.door.accept(site.sign(site.command(first)));
    await until(() => agent.history(50).some((event) => event.kind === 'watching'));
    const bad = site.publish(directoryRelease(site, '2.0.0'), { 'files/page': 'broken' });
    expect(await carryOut(agent, site, site.command(bad, { generation: 3 }))).toMatchObject({
      result: 'reverted',
      cause: 'check',
    });
    expect(page()).toBe('healthy original');
  });

  it('a newer command waits for a switch in progress, and then has its way', async () => {
    const agent = await site.start();
    const reload = ['sleep', '0.5'];
    const driver = { type: 'directory', files: './files', target: site.path('live', 'conf'), reload };
    const good = site.publish(directoryRelease(site, '1.0.0', { driver, ...slow }), { 'files/page': 'healthy 1' });
    await agent.door.accept(site.sign(site.command(good)));
    await until(() => page() === 'healthy 1');
    const revert = site.command(good, { verb: 'revert', generation: 2 });
    expect(await agent.door.accept(site.sign(revert))).toMatchObject({ state: 'accepted' });
    expect(resultOf(await observe(agent, revert.id))).toMatchObject({ result: 'reverted', changed: true });
    expect(page()).toBe('healthy original');
  });

  it('a revert of what is not live changes nothing, raises the floor, and repeats the local result', async () => {
    const agent = await site.start();
    const bad = site.publish(directoryRelease(site, '1.0.0'), { 'files/page': 'broken' });
    const local = await carryOut(agent, site, site.command(bad));
    const revert = await carryOut(agent, site, site.command(bad, { verb: 'revert', generation: 2 }));
    expect(revert).toMatchObject({
      result: 'reverted',
      changed: false,
      reason: { code: 'NOT_LIVE' },
      previous: { result: 'reverted', reason: { code: 'CHECK_FAILED' }, at: local.at },
    });
    const late = await carryOut(agent, site, site.command(bad, { try: 2, allowed: true }));
    expect(late).toMatchObject({ result: 'rejected', reason: { code: 'STALE' } });
  });

  it('a revert command undoes a confirmed release, and the one before it', async () => {
    const agent = await site.start();
    const a = site.publish(directoryRelease(site, '1.0.0'), { 'files/page': 'healthy 1' });
    const b = site.publish(directoryRelease(site, '2.0.0'), { 'files/page': 'healthy 2' });
    await carryOut(agent, site, site.command(a, { generation: 1 }));
    await carryOut(agent, site, site.command(b, { generation: 3 }));
    const first = await carryOut(agent, site, site.command(b, { verb: 'revert', generation: 4 }));
    expect(first).toMatchObject({ changed: true, live: { version: '1.0.0' }, previous: { result: 'confirmed' } });
    expect(page()).toBe('healthy 1');
    const second = await carryOut(agent, site, site.command(a, { verb: 'revert', generation: 6 }));
    expect(second.live?.version).toMatch(/^0\.0\.0-adopted/);
    expect(page()).toBe('healthy original');
  });

  it('a person at the site undoes a confirmed release; the command keeps its result, the journal tells the later one', async () => {
    const agent = await site.start();
    const a = site.publish(directoryRelease(site, '1.0.0'), { 'files/page': 'healthy 1' });
    const command = site.command(a);
    await carryOut(agent, site, command);
    agent.revert('edge-proxy', { by: 'kari', reason: 'sparks' });
    const event = await until(() => agent.history(50).find((one) => one.kind === 'reverted'));
    expect(event.result).toMatchObject({
      commandId: command.id,
      cause: 'person',
      reason: { code: 'PERSON', detail: 'sparks' },
    });
    expect(resultOf(await observe(agent, command.id))).toMatchObject({ result: 'confirmed' });
    expect(page()).toBe('healthy original');
    const again = await carryOut(agent, site, site.command(a, { generation: 2 }));
    expect(again).toMatchObject({ result: 'rejected', reason: { code: 'QUARANTINED' } });
  });

  it('a newer observer of the same command ends the older one, unsettled', async () => {
    const agent = await site.start();
    const good = site.publish(directoryRelease(site, '1.0.0', slow), { 'files/page': 'healthy 1' });
    const command = site.command(good);
    await agent.door.accept(site.sign(command));
    const first = observe(agent, command.id);
    const second = observe(agent, command.id);
    expect(await first).toMatchObject({ kind: 'unsettled', commandId: command.id });
    const [event] = agent.door.unacknowledged(1_000).filter((one) => one.commandId === command.id);
    expect(event && agent.door.observed(event)).toBe(true);
    // A result carries the first 200 that nobody has acknowledged, and no more.
    expect(event && agent.door.observed({ ...event, sequence: 200 })).toBe(true);
    expect(event && agent.door.observed({ ...event, sequence: 201 })).toBe(false);
    await agent.stop();
    expect(await second.catch(() => 'ended')).toBeDefined();
  });

  it('[A24] keeps a linked journal until the centre acknowledges it', async () => {
    const agent = await site.start();
    const heard: number[] = [];
    agent.door.onEvent((event) => heard.push(event.sequence));
    const good = site.publish(directoryRelease(site, '1.0.0'), { 'files/page': 'healthy 1' });
    await carryOut(agent, site, site.command(good));
    const events = agent.door.unacknowledged(1_000);
    expect(judgeSiteEvents(events)).toEqual({ ok: true });
    expect(heard).toEqual(events.slice(1).map((event) => event.sequence));
    const last = events.at(-1)?.sequence ?? 0;
    expect(agent.door.unacknowledged(2, 1)).toEqual(events.slice(1, 3));
    expect(agent.door.unacknowledged(1_000, last)).toEqual([]);
    const next = site.command(good, { verb: 'revert', generation: 2, ackedThrough: { epoch: 1, sequence: last } });
    await carryOut(agent, site, next);
    expect(agent.door.unacknowledged(1_000)[0]?.sequence).toBe(last + 1);
    expect(agent.door.unacknowledged(1_000, 1)[0]?.sequence).toBe(last + 1);
    const lie = site.command(good, { generation: 3, ackedThrough: { epoch: 1, sequence: 99_999 } });
    await agent.door.accept(site.sign(lie));
    expect(agent.door.unacknowledged(1_000)[0]?.sequence).toBe(last + 1);
  });
});

describe('fetching', () => {
  const soon = () => ({ switchBy: Date.now() + 1_500 });

  it('[B10] [B46] never uses a blob with the wrong digest or one cut short', async () => {
    const agent = await site.start();
    const wrong = site.publish(directoryRelease(site, '1.0.0'), { 'files/page': 'healthy 1' });
    site.put(blobPath(`sha256:${sha256Hex('healthy 1')}`), 'healthy X');
    const first = await carryOut(agent, site, site.command(wrong, soon()));
    expect(first).toMatchObject({ result: 'rejected', reason: { code: 'DIGEST_MISMATCH' } });
    const short = site.publish(directoryRelease(site, '1.1.0'), { 'files/page': 'healthy 2' });
    site.put(blobPath(`sha256:${sha256Hex('healthy 2')}`), 'health');
    const second = await carryOut(agent, site, site.command(short, { generation: 2, ...soon() }));
    expect(second).toMatchObject({ result: 'rejected', reason: { code: 'STAGE_FAILED' } });
    expect(second.reason?.detail).toContain('cut short');
    expect(page()).toBe('healthy original');
  });

  it('tries again until the depot answers, and gives up at switchBy', async () => {
    const agent = await site.start();
    const late = site.publish(directoryRelease(site, '1.0.0'), { 'files/page': 'healthy 1' });
    const manifest = `${site.depot}/${manifestPath(late.digest)}`;
    const text = readFileSync(manifest, 'utf8');
    rmSync(manifest);
    expect(await carryOut(agent, site, site.command(late, soon()))).toMatchObject({
      result: 'rejected',
      reason: { code: 'DEPOT_UNREACHABLE' },
    });
    const command = site.command(late, { generation: 2 });
    await agent.door.accept(site.sign(command));
    setTimeout(() => writeFileSync(manifest, text), 300);
    expect(resultOf(await observe(agent, command.id))).toMatchObject({ result: 'confirmed' });
  });

  it.each(['../evil', '/etc/evil', 'files/../../evil', 'files//evil', 'files\\..\\evil'])(
    'refuses the file name %s',
    async (path) => {
      const agent = await site.start();
      const evil = site.publish(directoryRelease(site, '1.0.0'), { 'files/page': 'healthy 1', [path]: 'evil' });
      expect(await carryOut(agent, site, site.command(evil))).toMatchObject({
        result: 'rejected',
        reason: { code: 'RELEASE_INVALID' },
      });
      expect(existsSync(site.path('evil'))).toBe(false);
    },
  );
});

describe('a data directory', () => {
  it('is refused to a second agent and to another site, and free again once the first has stopped', async () => {
    const first = await site.open();
    await expect(site.open()).rejects.toMatchObject({ code: 'AGENT_RUNNING' });
    await first.stop();
    await expect(site.open({ site: 'osl-02' })).rejects.toMatchObject({ code: 'BAD_ARGUMENT' });
    await site.open();
  });

  it('keeps the last three confirmed releases complete, and drops what is older', async () => {
    mkdirSync(site.path('extra'));
    const agent = await site.start();
    for (let n = 1; n <= 5; n++) {
      const one = site.publish(directoryRelease(site, `${n}.0.0`, { confirm: { within: '5s', healthyFor: '0s' } }), {
        'files/page': `healthy ${n}`,
      });
      expect(await carryOut(agent, site, site.command(one, { generation: n * 2 }))).toMatchObject({
        result: 'confirmed',
      });
    }
    const text = await agent.metricsText();
    expect(text.match(/^foothold_release_info\{/gm)).toHaveLength(1);
    expect(text).toMatch(
      /foothold_release_info\{site="osl-01",stream="edge-proxy",digest="sha256:[0-9a-f]{64}",version="5.0.0",state="confirmed"\} 1/,
    );
  });
});
