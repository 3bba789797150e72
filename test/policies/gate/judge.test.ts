import { describe, expect, it } from 'vitest';
import { decisive, judgeGate, judgeMetric, metricEnded, type Progress } from '../../../policies/gate/judge.js';
import type { Metric } from '../../../policies/model/strategy.js';
import type { Sample } from '../../../policies/model/verdict.js';
import { metric, samples, type Word } from './metric.js';

const WORDS: Record<string, Word> = { p: 'pass', f: 'fail', i: 'inconclusive', e: 'error' };
const wordsOf = (letters: string): Word[] => [...letters].map((letter) => WORDS[letter] as Word);
/** The soak ends with the last of `count` samples. */
const soakOf = (one: Metric, count: number) => ({ from: 0, until: one.window + (count - 1) * one.interval });

const over = (one: Metric, letters: string): Progress => ({ soakOver: true, soak: soakOf(one, letters.length) });
const cut = (one: Metric, letters: string): Progress => ({ ...over(one, letters), soakOver: false });
const judge = (file: Record<string, unknown>, letters: string, progress = over) => {
  const one = metric(file);
  const { verdict, reason } = judgeMetric(one, samples(one, wordsOf(letters)), progress(one, letters));
  return `${verdict} ${reason.code}`;
};

describe('judgeMetric without count', () => {
  it.each([
    ['p', {}, 'pass GATE_PASSED'],
    ['pppp', {}, 'pass GATE_PASSED'],
    ['f', {}, 'fail GATE_FAILED'],
    ['pppf', {}, 'fail GATE_FAILED'],
    ['i', {}, 'inconclusive GATE_COVERAGE'],
    ['pppi', {}, 'inconclusive GATE_COVERAGE'],
    ['pfpfp', { failureLimit: 2 }, 'pass GATE_PASSED'],
    ['ipipp', { inconclusiveLimit: 2 }, 'pass GATE_PASSED'],
    ['iiip', { inconclusiveLimit: 2 }, 'inconclusive GATE_COVERAGE'],
    ['if', {}, 'fail GATE_FAILED'],
    ['fi', {}, 'fail GATE_FAILED'],
  ])('[A31] %s with %j: %s', (letters, file, expected) => {
    expect(judge(file, letters)).toBe(expected);
  });

  it('[peers: Argo, documented as "after three", fails on the fourth] a limit is exceeded, not reached', () => {
    expect(judge({ failureLimit: 3 }, 'fffp')).toBe('pass GATE_PASSED');
    expect(judge({ failureLimit: 3 }, 'ffffp')).toBe('fail GATE_FAILED');
  });

  it('[peers: Argo, terminated before the first measurement is Successful] no sample never passes', () => {
    expect(judge({}, '', () => ({ soakOver: true, soak: { from: 0, until: 600_000 } }))).toBe(
      'inconclusive GATE_STOPPED_SHORT',
    );
    expect(judge({}, '', cut)).toBe('inconclusive GATE_STOPPED_SHORT');
  });

  it('[peers: Argo, Successful when autoPromotionSeconds elapses] stopped short never passes', () => {
    expect(judge({}, 'pppp', cut)).toBe('inconclusive GATE_STOPPED_SHORT');
    expect(judge({}, 'pppf', cut)).toBe('fail GATE_FAILED');
  });

  it('[peers: Argo, Successful when autoPromotionSeconds elapses] an end of the soak that nobody sampled is no pass', () => {
    const one = metric();
    const taken = samples(one, wordsOf('pp'));
    const until = (count: number) => ({ soakOver: true, soak: soakOf(one, count) });
    expect(judgeMetric(one, taken, until(6)).verdict).toBe('pass');
    expect(judgeMetric(one, taken, until(7))).toMatchObject({
      ...{ verdict: 'inconclusive', reason: { code: 'GATE_STOPPED_SHORT' } },
    });
  });

  it('errors at the end and times that nobody sampled are one run', () => {
    const one = metric();
    const progress = { soakOver: true, soak: soakOf(one, 6) };
    expect(judgeMetric(one, samples(one, wordsOf('peee')), progress).reason.code).toBe('GATE_NO_DATA');
    expect(judgeMetric(one, samples(one, wordsOf('ppee')), progress).verdict).toBe('pass');
  });
});

describe('judgeMetric and times that nobody sampled', () => {
  const one = metric();
  const whole = samples(one, wordsOf('p'.repeat(12)));
  const judged = (taken: Sample[]) => judgeMetric(one, taken, over(one, 'p'.repeat(12)));

  it.each([
    ['before the first sample', whole.slice(5), whole.slice(4)],
    ['between samples', [...whole.slice(0, 3), ...whole.slice(8)], [...whole.slice(0, 3), ...whole.slice(7)]],
    ['after the last', whole.slice(0, 7), whole.slice(0, 8)],
  ])('[A31] a hole %s is as good as errors in a row: five are too many, four are not', (_where, holed, allowed) => {
    expect(judged(holed).verdict).toBe('inconclusive');
    expect(judged(allowed).verdict).toBe('pass');
  });
});

describe('judgeMetric and errors', () => {
  it.each([
    ['eeeep', 'pass GATE_PASSED'],
    ['eeeepeeeep', 'pass GATE_PASSED'],
    ['eeeeep', 'inconclusive GATE_NO_DATA'],
    ['eeeeefeeeee', 'fail GATE_FAILED'],
    ['e', 'inconclusive GATE_NO_DATA'],
    ['eeee', 'inconclusive GATE_NO_DATA'],
  ])('[B6] [peers: Kayenta, an Error is counted neither as failure nor as no data] %s: %s', (letters, expected) => {
    expect(judge({}, letters)).toBe(expected);
  });

  it('[peers: Kayenta, no data at all scores 100] only errors never pass, however high the limit', () => {
    expect(judge({ consecutiveErrorLimit: 1_000 }, 'e'.repeat(50))).toBe('inconclusive GATE_NO_DATA');
  });

  it('an error does not use up count', () => {
    const one = metric({ count: 3 });
    expect(metricEnded(one, samples(one, wordsOf('peep')))).toBe(false);
    expect(metricEnded(one, samples(one, wordsOf('peepp')))).toBe(true);
  });
});

describe('judgeMetric with count', () => {
  it.each([
    ['ppp', {}, 'pass GATE_PASSED'],
    ['pep', {}, 'inconclusive GATE_STOPPED_SHORT'],
    ['pp', {}, 'inconclusive GATE_STOPPED_SHORT'],
    ['ffp', { failureLimit: 2 }, 'pass GATE_PASSED'],
    ['ffi', { failureLimit: 2, inconclusiveLimit: 2 }, 'inconclusive GATE_COVERAGE'],
    ['iif', { failureLimit: 2, inconclusiveLimit: 2 }, 'inconclusive GATE_COVERAGE'],
    ['eeee', {}, 'inconclusive GATE_STOPPED_SHORT'],
  ])('[A31] %s of 3 with %j: %s, soak over or not', (letters, file, expected) => {
    expect(judge({ ...file, count: 3 }, letters)).toBe(expected);
    expect(judge({ ...file, count: 3 }, letters, cut)).toBe(expected);
  });
});

describe('judgeGate', () => {
  const names = ['m0', 'm1', 'm2'];
  const gate = (...letters: string[]) => {
    const metrics = letters.map((_, index) => metric({ name: names[index] }));
    const all = metrics.flatMap((one, index) => samples(one, wordsOf(letters[index] ?? '')));
    return judgeGate(metrics, all, over(metric(), 'pp'));
  };

  it.each([
    [['pp', 'pp'], 'pass'],
    [['pp', 'pf'], 'fail'],
    [['pf', 'pi'], 'fail'],
    [['pi', 'pf'], 'fail'],
    [['pp', 'pi'], 'inconclusive'],
    [['pp', 'ee'], 'inconclusive'],
    [['pp', ''], 'inconclusive'],
    [['pp', 'pp', 'f'], 'fail'],
  ])('[A31] is the conjunction of its metrics: %j: %s', (letters, expected) => {
    expect(gate(...letters).verdict).toBe(expected);
  });

  it('[peers: Flagger, no analysis means "skip analysis"] a gate without a metric is inconclusive', () => {
    expect(judgeGate([], [], over(metric(), 'pp'))).toMatchObject({ verdict: 'inconclusive', metrics: [] });
  });

  it('[B6] two metrics of one name cannot vouch for each other', () => {
    const twins = [metric(), metric({ pass: 'result < 0.5' })];
    expect(judgeGate(twins, samples(metric(), wordsOf('pp')), over(metric(), 'pp')).verdict).toBe('inconclusive');
  });

  it('names the metric, the numbers and the last values', () => {
    const verdict = gate('pp', 'pf');
    expect(verdict.reason).toEqual({
      ...{ code: 'GATE_FAILED', detail: 'm1: 1 samples failed, 0 may; the last: sample 1' },
    });
    expect(verdict.metrics[1]).toEqual({
      ...{ metric: 'm1', verdict: 'fail', counts: { pass: 1, fail: 1, inconclusive: 0, error: 0 } },
      reason: { code: 'GATE_FAILED', detail: '1 samples failed, 0 may; the last: sample 1' },
      lastValues: [{ value: 1 }],
    });
  });
});

describe('decisive', () => {
  const ask = (...pairs: [Metric, string][]) =>
    decisive(
      pairs.map(([one]) => one),
      pairs.flatMap(([one, letters]) => samples(one, wordsOf(letters))),
    );
  const counted = metric({ name: 'counted', count: 2 });
  const soaking = metric({ name: 'soaking' });

  it('ends early on a metric that cannot pass any more, and when every count is reached', () => {
    expect(ask([soaking, 'ppp'])).toBe(false);
    expect(ask([soaking, 'pf'])).toBe(true);
    expect(ask([soaking, 'pi'])).toBe(true);
    expect(ask([soaking, 'eeeee'])).toBe(true);
    expect(ask([soaking, 'eeee'])).toBe(false);
    expect(ask([counted, 'pp'])).toBe(true);
    expect(ask([counted, 'pp'], [soaking, 'pp'])).toBe(false);
    expect(ask([counted, 'p'], [soaking, 'f'])).toBe(true);
  });

  it('has nothing to wait for without a metric; the verdict is then inconclusive', () => {
    expect(decisive([], [])).toBe(true);
  });
});

/** Mulberry32: the same cases in every run. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

describe('the counters, over 2,000 random runs', () => {
  const next = random(31);
  const pick = (below: number) => Math.floor(next() * below);
  const runs = Array.from({ length: 2_000 }, () => {
    const limits = { failureLimit: pick(3), inconclusiveLimit: pick(3), consecutiveErrorLimit: pick(4) };
    const one = metric({ ...limits, ...(next() < 0.4 ? { count: 3 + pick(4) } : {}) });
    const letters = Array.from({ length: pick(12) }, () => 'ppppfiee'[pick(8)]).join('');
    const soakOver = next() < 0.7;
    return { one, letters, taken: samples(one, wordsOf(letters)), progress: { ...over(one, letters), soakOver } };
  });
  const count = (letters: string, letter: string) => letters.split(letter).length - 1;
  const errorRun = (letters: string) => Math.max(0, ...letters.split(/[^e]+/).map((run) => run.length));

  it('[A31] pass exactly when no limit is exceeded, something passed, and count or soak is complete', () => {
    const verdicts = new Map<string, number>();
    for (const { one, letters, taken, progress } of runs) {
      const { verdict } = judgeMetric(one, taken, progress);
      const measured = letters.length - count(letters, 'e');
      const complete = one.count === undefined ? progress.soakOver : measured >= one.count;
      const withinLimits =
        count(letters, 'i') <= one.inconclusiveLimit && errorRun(letters) <= one.consecutiveErrorLimit;
      const failed = count(letters, 'f') > one.failureLimit;
      const passed = withinLimits && complete && count(letters, 'p') > 0;
      expect(verdict, `${letters} ${JSON.stringify(one)}`).toBe(failed ? 'fail' : passed ? 'pass' : 'inconclusive');
      verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + 1);
    }
    for (const word of ['pass', 'fail', 'inconclusive']) expect(verdicts.get(word)).toBeGreaterThan(100);
  });

  it('give one verdict in whatever order samples arrive, and however often', () => {
    for (const { one, taken, progress } of runs) {
      const shuffled = [...taken, ...taken].map((sample) => ({ sample, key: next() }));
      shuffled.sort((a, b) => a.key - b.key);
      const again = judgeMetric(one, shuffled.map(({ sample }) => sample), progress); // prettier-ignore
      expect(again).toEqual(judgeMetric(one, taken, progress));
    }
  });

  it('never pass because of an error or a loss: what is inconclusive or failed stays so with less or worse', () => {
    for (const { one, taken, progress } of runs) {
      if (judgeMetric(one, taken, progress).verdict === 'pass') continue;
      const worse = taken.map((sample): Sample =>
        sample.outcome === 'pass' ? { ...sample, outcome: 'error' } : sample,
      );
      expect(judgeMetric(one, worse, progress).verdict).not.toBe('pass');
      expect(judgeMetric(one, taken.slice(0, -1), { ...progress, soakOver: false }).verdict).not.toBe(
        one.count === undefined ? 'pass' : undefined,
      );
    }
  });

  it('are decisive only when sampling on could not bring a pass that is not there yet', () => {
    for (const { one, taken, progress } of runs) {
      if (!decisive([one], taken)) continue;
      const { verdict } = judgeMetric(one, taken, progress);
      const longer = [...taken, ...samples(one, wordsOf('pppppppppppppppppppp')).slice(taken.length)];
      const later = judgeMetric(one, longer, { ...progress, soakOver: true });
      if (verdict !== 'pass' && one.count === undefined) expect(later.verdict).toBe(verdict);
      if (verdict === 'fail') expect(later.verdict).toBe('fail');
    }
  });
});

describe('samples that repeat or are damaged', () => {
  const one = metric();
  const [sample] = samples(one, ['pass']) as [Sample];
  const progress = over(one, 'p');

  it('[B6] of two that differ for one time the worse one counts, in either order', () => {
    const worse: Sample = { ...sample, outcome: 'fail' };
    expect(judgeMetric(one, [sample, worse], progress).verdict).toBe('fail');
    expect(judgeMetric(one, [worse, sample], progress).verdict).toBe('fail');
  });

  it('ignores samples of other metrics', () => {
    expect(judgeMetric(one, [{ ...sample, metric: 'other' }], progress).counts.pass).toBe(0);
  });

  it('[B6] takes an unknown outcome for an error', () => {
    const damaged = { ...sample, outcome: 'ok' as Word };
    expect(judgeMetric(one, [damaged], progress)).toMatchObject({ verdict: 'inconclusive', counts: { error: 1 } });
  });
});
