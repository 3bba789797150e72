import { lstatSync, mkdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { carryOut, directoryRelease, TestSite, until } from '../site/test-site.js';

let site: TestSite;
const page = () => readFileSync(site.path('live', 'conf', 'page'), 'utf8');

beforeEach(() => {
  site = new TestSite();
  site.write('live/conf/page', 'healthy original');
});
afterEach(() => site.clear());

describe('a converge', () => {
  it('[A21] [A23] adopts what is live, switches, watches, and confirms; the states are told in order', async () => {
    const agent = await site.start();
    const good = site.publish(directoryRelease(site, '1.0.0'), {
      'files/page': 'healthy 1',
      'files/sub/x.sh': { text: '#!', mode: 0o755 },
    });
    const states: string[] = [];
    const result = await carryOut(agent, site, site.command(good), (state) => states.push(state));
    expect(result).toMatchObject({
      result: 'confirmed',
      changed: true,
      live: { version: '1.0.0', digest: good.digest },
    });
    expect(states.filter((state) => state !== 'accepted')).toEqual(['staged', 'switching', 'watching', 'confirmed']);
    expect(page()).toBe('healthy 1');
    expect(lstatSync(site.path('live', 'conf')).isSymbolicLink()).toBe(true);
    const report = await agent.report();
    expect(report.streams['edge-proxy']).toMatchObject({
      state: 'confirmed',
      live: { digest: good.digest },
      generation: 1,
    });
    expect(report.streams['edge-proxy']?.lkg?.version).toMatch(/^0\.0\.0-adopted\+[0-9a-f]{12}$/);
    expect(report.streams['edge-proxy']?.checks).toMatchObject([{ name: 'ok', healthy: true }]);
  });

  it('[A32] undoes a release whose check fails, quarantines it, and tells time, reason and cause', async () => {
    const agent = await site.start();
    const bad = site.publish(directoryRelease(site, '2.0.0'), { 'files/page': 'broken' });
    const result = await carryOut(agent, site, site.command(bad));
    expect(result).toMatchObject({
      result: 'reverted',
      changed: false,
      cause: 'check',
      reason: { code: 'CHECK_FAILED' },
    });
    expect(page()).toBe('healthy original');
    const again = await carryOut(agent, site, site.command(bad, { generation: 2 }));
    expect(again).toMatchObject({ result: 'rejected', reason: { code: 'QUARANTINED' } });
    const allowed = await carryOut(agent, site, site.command(bad, { generation: 3, allowed: true }));
    expect(allowed).toMatchObject({ result: 'reverted', reason: { code: 'CHECK_FAILED' } });
  });

  it('[A32] undoes what is not healthy for healthyFor within its deadline', async () => {
    const agent = await site.start();
    const slow = site.publish(
      directoryRelease(site, '2.1.0', {
        alreadySick: 'proceed',
        checks: [{ name: 'never', exec: ['false'], every: '50ms', failures: 1000 }],
        confirm: { within: '300ms', healthyFor: '100ms' },
      }),
      {
        'files/page': 'healthy but late',
      },
    );
    const result = await carryOut(agent, site, site.command(slow));
    expect(result).toMatchObject({ result: 'reverted', cause: 'deadline', reason: { code: 'DEADLINE_PASSED' } });
    expect(page()).toBe('healthy original');
  });

  it('confirms after the first healthy round with healthyFor 0s', async () => {
    const agent = await site.start();
    const good = site.publish(directoryRelease(site, '1.0.0', { confirm: { within: '5s', healthyFor: '0s' } }), {
      'files/page': 'healthy at once',
    });
    expect(await carryOut(agent, site, site.command(good))).toMatchObject({ result: 'confirmed' });
  });

  it('[A32] undoes when a component cannot be switched, or the reload hangs', async () => {
    const agent = await site.start();
    const driver = (reload: string[]) => ({
      driver: { type: 'directory', files: './files', target: site.path('live', 'conf'), reload, timeout: '200ms' },
    });
    const missing = site.publish(directoryRelease(site, '3.0.0', driver(['/no/such/program'])), {
      'files/page': 'healthy 3',
    });
    const first = await carryOut(agent, site, site.command(missing));
    // The undo has to reload too, with the same program: it is back on disk, and the agent says that it cannot verify it.
    expect(first).toMatchObject({ result: 'safe-mode', reason: { code: 'REVERT_FAILED' } });
    expect(first.reason?.detail).toContain('/no/such/program');
    expect(page()).toBe('healthy original');
    // Safe mode is left by a person only.
    agent.unhold({ stream: 'edge-proxy', by: 'kari', reason: 'looked at it' });
    const flag = site.path('hang');
    const hanging = site.publish(
      directoryRelease(site, '3.1.0', driver(['sh', '-c', `if [ ! -e ${flag} ]; then touch ${flag}; sleep 60; fi`])),
      { 'files/page': 'healthy 3.1' },
    );
    const second = await carryOut(agent, site, site.command(hanging, { generation: 2 }));
    expect(second).toMatchObject({ result: 'reverted', cause: 'switch', reason: { code: 'SWITCH_FAILED' } });
    expect(second.reason?.detail).toContain('killed after 200 ms');
    expect(page()).toBe('healthy original');
  });

  it('answers ALREADY_SICK before touching anything, unless the release says to proceed', async () => {
    site.write('live/conf/page', 'sick');
    const agent = await site.start();
    const cure = site.publish(directoryRelease(site, '4.0.0'), { 'files/page': 'healthy cure' });
    const refused = await carryOut(agent, site, site.command(cure));
    expect(refused).toMatchObject({ result: 'rejected', changed: false, reason: { code: 'ALREADY_SICK' } });
    expect(lstatSync(site.path('live', 'conf')).isDirectory()).toBe(true);
    const anyway = site.publish(directoryRelease(site, '4.0.1', { alreadySick: 'proceed' }), {
      'files/page': 'healthy cure',
    });
    expect(await carryOut(agent, site, site.command(anyway, { generation: 2 }))).toMatchObject({ result: 'confirmed' });
  });

  it('runs before and after, undoes when after fails, rejects when before fails', async () => {
    const agent = await site.start();
    const note = (word: string, code = 0) => ({
      exec: ['sh', '-c', `echo ${word} >> ${site.path('notes')}; exit ${code}`],
    });
    const notes = () => readFileSync(site.path('notes'), 'utf8').trim().split('\n').join(' ');
    const a = site.publish(directoryRelease(site, '5.0.0', { before: note('drain'), after: note('undrain') }), {
      'files/page': 'healthy 5',
    });
    expect(await carryOut(agent, site, site.command(a))).toMatchObject({ result: 'confirmed' });
    expect(notes()).toBe('drain undrain');
    const b = site.publish(directoryRelease(site, '5.1.0', { before: note('drain'), after: note('undrain', 1) }), {
      'files/page': 'healthy 5.1',
    });
    const failed = await carryOut(agent, site, site.command(b, { generation: 2 }));
    expect(failed).toMatchObject({ result: 'reverted', reason: { code: 'AFTER_FAILED' } });
    expect(page()).toBe('healthy 5');
    const c = site.publish(directoryRelease(site, '5.2.0', { before: note('drain', 3), after: note('undrain') }), {
      'files/page': 'healthy 5.2',
    });
    const refused = await carryOut(agent, site, site.command(c, { generation: 3 }));
    expect(refused).toMatchObject({ result: 'rejected', reason: { code: 'BEFORE_FAILED' } });
    expect(notes()).toBe('drain undrain drain undrain undrain drain undrain');
    expect(page()).toBe('healthy 5');
  });

  it('answers LKG_MISSING with nothing to go back to, unless the release is a first one', async () => {
    const agent = await site.start();
    const target = site.path('nowhere', 'conf');
    const change = {
      driver: { type: 'directory', files: './files', target },
      checks: 'none',
      because: 'test',
      confirm: { healthyFor: '0s' },
    };
    const a = site.publish(directoryRelease(site, '6.0.0', change), { 'files/page': 'x' });
    const refused = await carryOut(agent, site, site.command(a));
    expect(refused).toMatchObject({ result: 'rejected', reason: { code: 'LKG_MISSING' } });
    const b = site.publish(directoryRelease(site, '6.0.1', { ...change, first: true }), { 'files/page': 'x' });
    expect(await carryOut(agent, site, site.command(b, { generation: 2 }))).toMatchObject({ result: 'confirmed' });
    expect(readFileSync(`${target}/page`, 'utf8')).toBe('x');
  });

  it('leaves a first release that fails in place, in safe mode', async () => {
    const agent = await site.start();
    const target = site.path('nowhere', 'conf');
    const change = {
      driver: { type: 'directory', files: './files', target },
      checks: [{ name: 'no', exec: ['false'], every: '50ms', failures: 1 }],
      first: true,
    };
    const a = site.publish(directoryRelease(site, '6.1.0', change), { 'files/page': 'x' });
    const result = await carryOut(agent, site, site.command(a));
    expect(result).toMatchObject({ result: 'safe-mode', reason: { code: 'NOTHING_VERIFIED' } });
    expect((await agent.report()).streams['edge-proxy']).toMatchObject({
      state: 'safe-mode',
      live: { version: '6.1.0' },
    });
  });

  it('renders variables, the site and the data directory, and rejects a missing one', async () => {
    const agent = await site.start();
    const change = {
      driver: { type: 'directory', files: './files', templates: ['*.conf'], target: '{{dir}}/conf' },
      checks: 'none',
      because: 'test',
      confirm: { healthyFor: '0s' },
    };
    const a = site.publish(directoryRelease(site, '7.0.0', change), {
      'files/a.conf': '{{site.id}} {{port}} {{site.data}}',
      'files/raw': '{{port}}',
    });
    const missing = await carryOut(agent, site, site.command(a, { vars: { dir: site.path('live') } }));
    expect(missing).toMatchObject({ result: 'rejected', reason: { code: 'VARIABLE_MISSING' } });
    const vars = { dir: site.path('live'), port: 8080 };
    expect(await carryOut(agent, site, site.command(a, { generation: 2, vars }))).toMatchObject({
      result: 'confirmed',
    });
    expect(readFileSync(site.path('live', 'conf', 'a.conf'), 'utf8')).toBe(`osl-01 8080 ${site.data}`);
    expect(readFileSync(site.path('live', 'conf', 'raw'), 'utf8')).toBe('{{port}}');
    const again = await carryOut(agent, site, site.command(a, { generation: 3, vars }));
    expect(again).toMatchObject({ result: 'confirmed', changed: false });
    const other = await carryOut(agent, site, site.command(a, { generation: 4, vars: { ...vars, port: 9090 } }));
    expect(other).toMatchObject({ result: 'confirmed', changed: true });
  });

  it('[A32] makes a damaged last-known-good release anew before it is needed', async () => {
    const agent = await site.start();
    const good = site.publish(directoryRelease(site, '8.0.0'), { 'files/page': 'healthy 8' });
    await carryOut(agent, site, site.command(good));
    writeFileSync(site.path('live', 'conf', 'page'), 'healthy but edited by hand');
    const bad = site.publish(directoryRelease(site, '8.1.0'), { 'files/page': 'broken' });
    expect(await carryOut(agent, site, site.command(bad, { generation: 2 }))).toMatchObject({ result: 'reverted' });
    expect(page()).toBe('healthy 8');
  });

  it('takes over a target that is a symlink to a place of its own', async () => {
    mkdirSync(site.path('opt'));
    writeFileSync(site.path('opt', 'page'), 'healthy in opt');
    symlinkSync(site.path('opt'), site.path('live', 'linked'));
    const agent = await site.start();
    const target = site.path('live', 'linked');
    const bad = site.publish(
      directoryRelease(site, '9.0.0', {
        driver: { type: 'directory', files: './files', target },
        checks: [{ name: 'ok', exec: ['grep', 'healthy', `${target}/page`], every: '50ms', failures: 1 }],
      }),
      { 'files/page': 'broken' },
    );
    expect(await carryOut(agent, site, site.command(bad))).toMatchObject({ result: 'reverted' });
    expect(readFileSync(`${target}/page`, 'utf8')).toBe('healthy in opt');
    expect(readlinkSync(target)).toContain('adopted-');
  });

  it('a hanging check neither stalls the others nor the undo', async () => {
    const agent = await site.start();
    const checks = [
      {
        name: 'hangs',
        exec: [
          'sh',
          '-c',
          'if [ -L ' +
            site.path('live', 'conf') +
            ' ] && ! grep -q original ' +
            site.path('live', 'conf', 'page') +
            '; then sleep 60; fi',
        ],
        every: '50ms',
        timeout: '30s',
      },
      { name: 'ok', exec: ['grep', '-q', 'healthy', site.path('live', 'conf', 'page')], every: '50ms', failures: 2 },
    ];
    const bad = site.publish(directoryRelease(site, '10.0.0', { checks }), { 'files/page': 'broken' });
    const began = Date.now();
    expect(await carryOut(agent, site, site.command(bad))).toMatchObject({
      result: 'reverted',
      reason: { code: 'CHECK_FAILED' },
    });
    expect(Date.now() - began).toBeLessThan(5_000);
    await until(() => page() === 'healthy original');
  });
});
