/** Packets that are lost for real, in network namespaces: no kernel in between acknowledges what does not arrive. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunningProcess } from '../../infra/dev/process.js';
import type { LinkState } from '../../policies/model/link.js';
import { FaultStage, until } from './fault-stage.js';
import { accountOf, askMeanwhile, comesTo, TOGETHER, writeAgentFile } from './link-stage.js';
import { NetSpaces, whyNoSpaces } from './net-spaces.js';

const whyNot = whyNoSpaces();
const SITE = 'away';

describe.skipIf(whyNot)(
  `a site behind packets that vanish${whyNot === undefined ? '' : ` (skipped: ${whyNot})`}`,
  () => {
    let stage: FaultStage;
    let spaces: NetSpaces;
    let agent: RunningProcess;
    const sockets = mkdtempSync(join(tmpdir(), 'fh-net-'));

    beforeAll(async () => {
      spaces = new NetSpaces();
      stage = await FaultStage.open({ sites: [SITE], settleWithin: '180s' });
      stage.write('strategies/together.yaml', TOGETHER);
      await stage.startDepot();
      await stage.startWorker();
      const temporal = await spaces.publish(stage.temporal.address, 7233, sockets);
      const depot = await spaces.publish(new URL(stage.depotUrl).host, 8081, sockets);
      writeAgentFile(stage, SITE, `http://${depot}/`);
      agent = await stage.startSiteWithin(spaces.at('site'), SITE, '--address', temporal);
      await until(async () => (await stage.registry.reports([SITE])).size === 1, 'the site has reported');
    });
    afterAll(async () => {
      // Stopped first, the agent would look for a network that is gone.
      await stage?.close();
      await spaces?.stop();
      rmSync(sockets, { recursive: true, force: true });
    });

    const linkIs = (state: LinkState['state']) =>
      until(async () => {
        const { link } = await stage.statusOf(SITE);
        return link?.state === state && link;
      }, `the link is ${state}`);

    const ways = {
      all: { lose: () => spaces.plug('down'), find: () => spaces.plug('up') },
      words: { lose: () => spaces.lose('centre'), find: () => spaces.find('centre') },
      answers: { lose: () => spaces.lose('site'), find: () => spaces.find('site') },
    };

    /** A change is watched when packets begin to be lost; it ends as `ends` says before they are not any more. */
    async function watchThrough(version: string, ends: 'confirmed' | 'reverted', lost: 'all' | 'words' | 'answers') {
      const { lose, find } = ways[lost];
      const label = await stage.begin({ version, healthyFor: ends === 'confirmed' ? '35s' : '48s' }, 'together');
      const before = (await stage.statusOf(SITE)).streams['relay']?.live?.version ?? '';
      await comesTo(stage, SITE, 'watching', version);
      const from = Date.now();
      lose();
      try {
        const asking = askMeanwhile(stage, [SITE]);
        const link = await linkIs('down');
        expect(link.cause).toMatch(/did not answer|cannot be reached|namespace default on/);
        expect(link.since).toBeGreaterThanOrEqual(from);
        if (ends === 'reverted') stage.makeIll(SITE, version);
        await comesTo(stage, SITE, ends, ends === 'confirmed' ? version : before);
        const asked = (await asking.end()).get(SITE);
        expect(asked?.answers).toBeGreaterThan(5);
        expect(asked?.slowest).toBeLessThan(2_000);
        const { firstRunId = '' } = (await stage.rollout(label)) ?? {};
        expect((await stage.registry.siteRows(firstRunId)).map(({ outcome }) => outcome)).not.toContain(ends);
      } finally {
        find();
      }
      await linkIs('up');
      const account = await until(
        async () => {
          const now = await accountOf(stage, label, SITE);
          return now.counted > 0 && now;
        },
        'it is counted',
        120_000,
      );
      if (ends === 'reverted')
        expect(await stage.endOf(['abort', label, '--reason', 'nobody can run it'])).toMatchObject({ code: 0 });
      await stage.sealed(label, 120_000);
      expect(account).toMatchObject({ outcome: ends, journal: { accepted: 1, switching: 1, [ends]: 1 } });
      expect(await accountOf(stage, label, SITE)).toMatchObject({ outcome: ends, counted: 1 });
      expect(await stage.verified(label)).toMatchObject({ ok: true });
      expect(agent.running()).toBe(true);
      expect((await stage.journalOf(SITE)).filter(({ kind }) => kind === 'started').length).toBe(1);
    }

    it('[B1] the cable pulled: confirmed alone, and counted once when it is back', () =>
      watchThrough('1.0.0', 'confirmed', 'all'));

    it('[A32] only what the site sends is lost: undone alone by its check, and counted once', () =>
      watchThrough('1.1.0', 'reverted', 'words'));

    it('[A32] only what the centre sends is lost: undone alone by its check, and counted once', () =>
      watchThrough('1.2.0', 'reverted', 'answers'));

    it('[B1] large packets vanish: no command gets through, the link says that it is down, and all is well afterwards', async () => {
      spaces.passAtMost(500);
      let label = '';
      try {
        label = await stage.begin({ version: '1.3.0' }, 'together');
        const link = await linkIs('down');
        expect(link.cause).toMatch(/did not answer|cannot be reached|namespace default on/);
        expect((await stage.statusOf(SITE)).streams['relay']?.live?.version).toBe('1.0.0');
      } finally {
        spaces.passAtMost(1_500);
      }
      expect(await stage.sealed(label, 170_000)).toMatchObject({ outcome: 'promoted' });
      expect(await accountOf(stage, label, SITE)).toMatchObject({ outcome: 'confirmed', counted: 1 });
    });
  },
);
