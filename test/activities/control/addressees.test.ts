/** Whom commands are for, from a real registry: what is in the way of a converge, and what an undo can do without it. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { judgeIdentities, readAddressees, rememberedAddressees } from '../../../activities/control/addressees.js';
import type { ControlDeps } from '../../../activities/control/deps.js';
import type { Reason } from '../../../policies/model/verdict.js';
import { openRegistry } from '../../../records/registry/open.js';
import type { Registry } from '../../../records/registry/registry.js';
import { Journal, report } from '../../records/registry/facts.js';

const SITE = 'osl-01';
let registry: Registry;
let deps: ControlDeps;
beforeEach(async () => {
  registry = await openRegistry('sqlite::memory:');
  deps = { registry } as ControlDeps;
});
afterEach(() => registry.close());

/** A journal with one event that says `word`, delivered. */
async function speak(word: string, at: number): Promise<string> {
  const event = new Journal(SITE).add('started', { detail: { word } });
  await registry.recordSiteEvents(report(SITE, { at, head: event.hash }), [event], at);
  return event.hash;
}

describe('[A34] the addressee of a command', () => {
  it('is named by epoch, instance and the last event that the centre has; in doubt or retired, nothing is begun there', async () => {
    const hash = await speak('first', 1);
    const known = { ackedThrough: { epoch: 1, sequence: 1, hash } };
    expect(await readAddressees(deps, [SITE])).toEqual(new Map([[SITE, { fields: known }]]));
    await speak('another', 2);
    const owed: { site: string; hindered?: Reason }[] = [{ site: SITE }, { site: 'osl-02' }];
    expect((await readAddressees(deps, [SITE])).get(SITE)).toMatchObject({
      fields: known,
      hindered: { code: 'JOURNAL_FORKED' },
    });
    expect((await judgeIdentities(deps, owed)).map(({ hindered }) => hindered?.code)).toEqual([
      'JOURNAL_FORKED',
      undefined,
    ]);
    const held = [{ site: SITE, hindered: { code: 'HELD', detail: '' } as const }];
    expect(await judgeIdentities(deps, held)).toEqual(held);
    const request = { site: SITE, token: { id: 't2', expiresAt: 99 }, by: 'anna', reason: 'new box' };
    await registry.replace(request, 3);
    const replaced = { fields: { epoch: 2, ackedThrough: { epoch: 2, sequence: 0 } } };
    expect((await readAddressees(deps, [SITE])).get(SITE)).toEqual(replaced);
    await registry.retire({ site: SITE, by: 'anna', reason: 'sold' }, 4);
    expect((await readAddressees(deps, [SITE])).get(SITE)?.hindered?.code).toBe('SITE_RETIRED');
  });

  it('is remembered, so that an undo with the registry away still names whom it is for', async () => {
    expect(rememberedAddressees(deps, [SITE])).toEqual(new Map());
    await registry.replace({ site: SITE, token: { id: 't2', expiresAt: 99 }, by: 'anna', reason: 'x' }, 3);
    const read = await readAddressees(deps, [SITE, 'osl-02']);
    expect(rememberedAddressees(deps, [SITE])).toEqual(new Map([[SITE, read.get(SITE)]]));
  });
});
