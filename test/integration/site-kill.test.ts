/** Rule 1 of design §5: killed at any instruction and started again, a stream ends confirmed or reverted, once. */
import { lstatSync, readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Settled } from '../../policies/model/command.js';
import type { SiteEvent, SiteReport } from '../../policies/model/report.js';
import { judgeSiteEvents } from '../../policies/signing/chain.js';
import { TestSite } from '../site/test-site.js';
import { buildRooms, dropRooms, runAgent, stepsOfSite } from './site-process.js';
import { signKeyset } from '../../policies/signing/keyset.js';

let out: string;
let site: TestSite;
beforeAll(() => {
  out = buildRooms();
});
afterAll(() => dropRooms(out));
beforeEach(() => {
  site = new TestSite();
  site.write('live/conf/page', 'healthy original');
  site.write('controller', 'old state');
});
afterEach(() => site.clear());

/** Two components that are undone as one: a directory, and a controller that is a file. */
function release(version: string) {
  const controller = site.path('controller');
  const target = site.path('live', 'conf');
  return {
    stream: 'edge-proxy',
    version,
    components: [
      { name: 'config', driver: { type: 'directory', files: './files', target } },
      {
        name: 'relay',
        driver: {
          type: 'exec',
          files: './relay',
          save: ['sh', '-c', `cp ${controller} $FOOTHOLD_SAVED`],
          apply: ['cp', 'state', controller],
          verify: ['cmp', '-s', 'state', controller],
          revert: ['sh', '-c', `cp $FOOTHOLD_SAVED ${controller}`],
        },
      },
    ],
    before: { exec: ['true'] },
    after: { exec: ['true'] },
    checks: [{ name: 'ok', exec: ['grep', '-q', 'healthy', `${target}/page`], every: '50ms', failures: 1 }],
    confirm: { within: '20s', healthyFor: '100ms' },
  };
}

interface Printed {
  /** States when the start had returned, before any connection is tried. */
  atStart: string[];
  settled: Settled;
  report: SiteReport;
  events: SiteEvent[];
}

const before = [
  'keys-adopted',
  'accepted',
  'fetched',
  'staged',
  'adopt-journaled',
  'adopt-aside',
  'adopted',
  'undo-captured',
  'before-done',
];
const switching = ['switching', 'activated', 'all-activated', 'watching'];
type Kill = [step: string, nth: number];
const once = (steps: string[]) => steps.map((step): Kill => [step, 1]);
const good: Kill[] = [...once([...before, ...switching, 'confirming', 'confirmed']), ['activated', 2]];
const undo = ['reverting', 'reverted-one', 'reverted-all', 'reverted'];
const bad: Kill[] = [...once([...switching, ...undo]), ['reverted-one', 2]];

it('every step of a site is one at which it is killed', () => {
  const killed = new Set([...good, ...bad].map(([step]) => step));
  expect(stepsOfSite().filter((step) => !killed.has(step))).toEqual([]);
});

describe.each<[string, Kill[]]>([
  ['healthy new', good],
  ['broken new', bad],
])('a release whose page is %s', (text, kills) => {
  it.each(kills)(
    '[A12] [A13] [A32] [A56] [A57] killed at %s (%i) ends confirmed or reverted, once',
    async (step, nth) => {
      const one = site.publish(release('1.0.0'), { 'files/page': text, 'relay/state': 'new state' });
      const keyset = signKeyset(1, [site.publicPem], [site.privatePem], Date.now());
      const command = site.command(one, { keyset });
      const { data: dataDirectory, depot, publicPem } = site;
      const base = { site: site.site, dataDirectory, depot, controlKeysPem: [publicPem] };
      const killed = await runAgent(out, {
        ...base,
        envelope: site.sign(command),
        commandId: command.id,
        killAt: { step, nth },
      });
      expect(killed.signal).toBe('SIGKILL');

      // Whoever was never answered asks again: a command is taken once, however often it comes.
      const { printed } = await runAgent(out, { ...base, envelope: site.sign(command), commandId: command.id });
      const { settled, atStart, report, events } = JSON.parse(printed) as Printed;
      // The guard has ended what a crash left half done: it does not leave it to what runs afterwards.
      expect(atStart.filter((state) => state === 'switching' || state === 'reverting')).toEqual([]);
      if (settled.kind !== 'result') throw new Error(`unsettled: ${settled.state}`);
      expect(['confirmed', 'reverted']).toContain(settled.result.result);
      if (text.startsWith('broken')) expect(settled.result.result).toBe('reverted');
      const isNew = settled.result.result === 'confirmed';
      expect(readFileSync(site.path('live', 'conf', 'page'), 'utf8')).toBe(isNew ? text : 'healthy original');
      expect(readFileSync(site.path('controller'), 'utf8')).toBe(isNew ? 'new state' : 'old state');
      expect(lstatSync(site.path('live', 'conf')).isSymbolicLink()).toBe(true);
      expect(report.streams['edge-proxy']?.state).toBe(settled.result.result);
      expect(events.filter((event) => event.result !== undefined)).toHaveLength(1);
      expect(judgeSiteEvents(events)).toEqual({ ok: true });
    },
  );
});
