import { expect, it } from 'vitest';
import { ScrubTurns, type GoOn } from '../../site/scrub/turns.js';

const always = () => true;

/** A round that lasts until it is ended, or may not go on. */
function rounds(turns: ScrubTurns) {
  const told: string[] = [];
  const end = new Map<string, () => void>();
  const begin = (name: string, hurry: boolean, goOn: GoOn = always) =>
    turns.take({ goOn, hurry }, async (mayGoOn) => {
      told.push(`${name} begins`);
      let ended = false;
      end.set(name, () => (ended = true));
      while (!ended && mayGoOn()) await tick();
      told.push(`${name} ${ended ? 'is whole' : 'is ended'}`);
      return ended ? name : undefined;
    });
  return { told, begin, end: (name: string) => end.get(name)?.() };
}
const tick = async () => new Promise((resolve) => setImmediate(resolve));
const ticks = async () => {
  for (let n = 0; n < 5; n++) await tick();
};

it('two rounds that are waited for come one after the other, and both are whole', async () => {
  const { told, begin, end } = rounds(new ScrubTurns());
  const both = [begin('start', true), begin('person', true)];
  await ticks();
  expect(told).toEqual(['start begins']);
  end('start');
  await ticks();
  end('person');
  expect(await Promise.all(both)).toEqual(['start', 'person']);
  expect(told).toEqual(['start begins', 'start is whole', 'person begins', 'person is whole']);
});

it('a round that nobody waits for gives way to one that somebody waits for, and is not begun beside it', async () => {
  const { told, begin, end } = rounds(new ScrubTurns());
  const weekly = begin('weekly', false);
  await ticks();
  const person = begin('person', true);
  expect(await weekly).toBeUndefined();
  await ticks();
  expect(await begin('another', false)).toBeUndefined();
  end('person');
  expect(await person).toBe('person');
  expect(told).toEqual(['weekly begins', 'weekly is ended', 'person begins', 'person is whole']);
  const next = begin('next', false);
  await ticks();
  end('next');
  expect(await next).toBe('next');
});

it('a round that failed keeps none from its turn; one whose reason is gone by then is not begun', async () => {
  const turns = new ScrubTurns();
  const failed = turns.take({ goOn: always, hurry: true }, async () => {
    await tick();
    throw new Error('wrong digests');
  });
  let stopped = false;
  const { told, begin, end } = rounds(turns);
  const others = [begin('stopped', true, () => !stopped), begin('person', true)];
  stopped = true;
  await expect(failed).rejects.toThrow('wrong digests');
  await ticks();
  end('person');
  expect(await Promise.all(others)).toEqual([undefined, 'person']);
  expect(told).toEqual(['person begins', 'person is whole']);
});
