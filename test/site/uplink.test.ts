import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { serveDepot, type DepotServer } from '../../records/depot/serve.js';
import { callAgent } from '../../site/local/client.js';
import { carryOut, directoryRelease, resultOf, TestSite, until } from './test-site.js';

let site: TestSite;
let depot: DepotServer;
let relay: Server;
let endpoint: string;
/** What stands between the site and the echo; false: requests are swallowed. */
let passes: boolean;
let seen: { passed: number; held: number };
const page = () => readFileSync(site.path('live', 'conf', 'page'), 'utf8');

/** A relay in front of a real depot server: the link that a test cuts. */
beforeEach(async () => {
  site = new TestSite();
  site.write('live/conf/page', 'healthy original');
  depot = await serveDepot(site.root, { host: '127.0.0.1', port: 0 });
  passes = true;
  seen = { passed: 0, held: 0 };
  relay = createServer((request, response) => {
    if (!passes) return void (seen.held += 1);
    seen.passed += 1;
    void (async () => {
      const chunks: Buffer[] = [];
      for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
      const answer = await fetch(`${depot.url}echo`, { method: 'POST', body: Buffer.concat(chunks) });
      response.writeHead(answer.status).end(await answer.text());
    })();
  }).listen(0, '127.0.0.1');
  await once(relay, 'listening');
  endpoint = `http://127.0.0.1:${(relay.address() as AddressInfo).port}/echo`;
});
afterEach(async () => {
  await site.clear();
  relay.closeAllConnections();
  relay.close();
  await depot.close();
});

const needs = (version: string, within = '15s') =>
  directoryRelease(site, version, { confirm: { within, healthyFor: '300ms', uplink: 'required' } });

describe('[A32] a release that says `uplink: required`', () => {
  it('is confirmed on an echo that came after the switch', async () => {
    const agent = await site.start({ uplink: ['http://127.0.0.1:1/echo', endpoint] });
    const good = site.publish(needs('1.0.0'), { 'files/page': 'healthy 1' });
    expect(await carryOut(agent, site, site.command(good))).toMatchObject({ result: 'confirmed' });
    expect(seen.passed).toBeGreaterThan(1);
    expect(page()).toBe('healthy 1');
  });

  it('is undone for it, and not quarantined, if the link is cut by the switch', async () => {
    const agent = await site.start({
      uplink: [endpoint],
      onStep: (step) => {
        if (step === 'switching') passes = false;
      },
    });
    const cuts = site.publish(needs('2.0.0', '3s'), { 'files/page': 'healthy 2' });
    const command = site.command(cuts);
    const result = await carryOut(agent, site, command);
    expect(result).toMatchObject({ result: 'reverted', cause: 'uplink', reason: { code: 'UPLINK_LOST' } });
    expect(page()).toBe('healthy original');
    expect((await agent.report()).quarantined).toEqual([]);
    passes = true;
    const again = await carryOut(agent, site, site.command(cuts, { generation: 2 }));
    expect(again).toMatchObject({ result: 'reverted', cause: 'uplink' });
  });

  it('is never switched with the link dead: it waits, staged, says why, and ends at switchBy', async () => {
    passes = false;
    const agent = await site.start({ uplink: [endpoint] });
    await agent.serveLocal();
    const one = site.publish(needs('3.0.0'), { 'files/page': 'healthy 3' });
    const command = site.command(one, { switchBy: Date.now() + 7_000 });
    await agent.door.accept(site.sign(command));
    await until(() => seen.held > 0);
    const waiting = async () => (await callAgent(site.data, 'status', {})).streams['edge-proxy'];
    for (let tries = 0; (await waiting())?.waits === undefined && tries < 500; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(await waiting()).toMatchObject({ state: 'staged', waits: { code: 'UPLINK_WAITS' } });
    expect(await agent.metricsText()).toContain(
      'foothold_waiting{site="osl-01",stream="edge-proxy",code="UPLINK_WAITS"} 1',
    );
    const result = resultOf(await agent.door.observe(command.id, AbortSignal.timeout(20_000), () => undefined));
    expect(result).toMatchObject({ result: 'rejected', changed: false, reason: { code: 'SWITCH_BY_PASSED' } });
    expect(agent.history(50).map((event) => event.kind)).not.toContain('switching');
    expect(page()).toBe('healthy original');
    expect((await waiting())?.waits).toBeUndefined();
  }, 40_000);

  it('is switched as soon as the link is back', async () => {
    passes = false;
    const agent = await site.start({ uplink: [endpoint] });
    const one = site.publish(needs('3.1.0'), { 'files/page': 'healthy 3' });
    const command = site.command(one);
    await agent.door.accept(site.sign(command));
    await until(() => seen.held > 0);
    passes = true;
    const result = resultOf(await agent.door.observe(command.id, AbortSignal.timeout(20_000), () => undefined));
    expect(result).toMatchObject({ result: 'confirmed' });
  }, 40_000);

  it('is refused at a site that declares no endpoint', async () => {
    const agent = await site.start();
    const one = site.publish(needs('4.0.0'), { 'files/page': 'healthy 4' });
    expect(await carryOut(agent, site, site.command(one))).toMatchObject({
      result: 'rejected',
      reason: { code: 'UPLINK_UNDECLARED' },
    });
  });

  it('and any other release does not ask for an echo', async () => {
    passes = false;
    const agent = await site.start({ uplink: [endpoint] });
    const one = site.publish(directoryRelease(site, '5.0.0'), { 'files/page': 'healthy 5' });
    expect(await carryOut(agent, site, site.command(one))).toMatchObject({ result: 'confirmed' });
    expect(seen).toEqual({ passed: 0, held: 0 });
  });
});

describe('[A32] checks that cannot be judged', () => {
  const hung = { name: 'hung', exec: ['sleep', '60'], timeout: '100ms', every: '100ms', failures: 2 };

  it('never confirm: the deadline undoes, though every other check passes meanwhile', async () => {
    const agent = await site.start();
    const [ok] = directoryRelease(site, '1.0.0').checks;
    const release = directoryRelease(site, '1.0.0', {
      checks: [ok, hung],
      alreadySick: 'proceed',
      confirm: { within: '2s', healthyFor: '100ms' },
    });
    const begun = performance.now();
    const command = site.command(site.publish(release, { 'files/page': 'healthy 1' }));
    const result = carryOut(agent, site, command);
    await until(() => agent.history(50).some((event) => event.kind === 'watching'));
    await new Promise((resolve) => setTimeout(resolve, 800));
    const { checks } = (await agent.report()).streams['edge-proxy'] ?? { checks: [] };
    expect(checks).toMatchObject([
      { name: 'ok', healthy: true },
      { name: 'hung', healthy: false, inconclusive: true },
    ]);
    expect(await agent.metricsText()).toMatch(/foothold_check_inconclusive\{[^}]*check="hung"[^}]*\} [1-9]/);
    expect(await result).toMatchObject({ result: 'reverted', cause: 'deadline', reason: { code: 'DEADLINE_PASSED' } });
    expect(performance.now() - begun).toBeLessThan(8_000);
  });

  it('are no reason to switch: before it they are as good as sick', async () => {
    const agent = await site.start();
    const release = directoryRelease(site, '1.1.0', { checks: [{ ...hung, exec: ['/no/such'] }] });
    const result = await carryOut(agent, site, site.command(site.publish(release, { 'files/page': 'healthy 1' })));
    expect(result).toMatchObject({ result: 'rejected', reason: { code: 'ALREADY_SICK' } });
    expect(result.reason?.detail).toContain('could not be started');
  });
});

describe('[A32] a person check', () => {
  const asks = (version: string, within: string) =>
    directoryRelease(site, version, {
      checks: [
        ...directoryRelease(site, version).checks,
        { name: 'lamp', person: 'Is the lamp green?', every: '100ms', failures: 1, within },
      ],
      confirm: { within: '8s', healthyFor: '200ms' },
    });
  const answer = (check?: string) =>
    callAgent(site.data, 'confirm', { stream: 'edge-proxy', by: 'kari', reason: 'seen', ...(check ? { check } : {}) });

  it('confirms once somebody on site has answered, over a restart, and keeps the name in the journal', async () => {
    let agent = await site.start();
    await agent.serveLocal();
    await expect(answer()).rejects.toMatchObject({ code: 'CHECK_NOT_ASKED' });
    const command = site.command(site.publish(asks('1.0.0', '7s'), { 'files/page': 'healthy 1' }));
    await agent.door.accept(site.sign(command));
    await until(() => agent.history(50).some((event) => event.kind === 'watching'));
    await expect(answer('other')).rejects.toMatchObject({ code: 'CHECK_NOT_ASKED' });
    expect(await answer()).toEqual({ stream: 'edge-proxy', check: 'lamp', question: 'Is the lamp green?' });
    await expect(answer()).rejects.toMatchObject({ code: 'CHECK_NOT_ASKED' });
    await agent.stop();
    agent = await site.start();
    const result = resultOf(await agent.door.observe(command.id, AbortSignal.timeout(15_000), () => undefined));
    expect(result).toMatchObject({ result: 'confirmed' });
    expect(agent.history(50).find((event) => event.kind === 'answered')?.detail).toMatchObject({
      ...{ check: 'lamp', by: 'kari', reason: 'seen' },
    });
  });

  it('undoes if nobody has answered in its time', async () => {
    const agent = await site.start();
    const command = site.command(site.publish(asks('2.0.0', '500ms'), { 'files/page': 'healthy 2' }));
    const result = await carryOut(agent, site, command);
    expect(result).toMatchObject({ result: 'reverted', cause: 'check', reason: { code: 'CHECK_FAILED' } });
    expect(result.reason?.detail).toContain('nobody confirmed');
    expect(page()).toBe('healthy original');
  });
});
