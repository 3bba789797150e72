/** Gathers samples of checks into windows, and tells changes of health at once, as events of the journal. */
import { aggregate } from '../../policies/site/aggregate.js';
import type { Attributes, Sample } from '../../policies/model/telemetry.js';
import type { Measured } from '../../policies/site/judge-metric.js';
import { alarmsOf, type CheckTally } from '../../policies/site/decide-watch.js';
import { isPaused, nextPause, type Pauses, type Told } from '../../policies/site/tell-seldom.js';
import type { SiteContext } from '../context.js';

const SCOPE = { name: 'foothold.checks' };
/** Samples held in memory before they are aggregated: a check may be as fast as it likes. */
const MOST_SAMPLES = 1_000;
/** Of a check that flaps. */
const HEALTH_PAUSES: Pauses = { first: 60_000, second: 120_000, longest: 3_600_000, calm: 0 };

interface Health extends Told {
  healthy: boolean;
}

/** The figure that a `metric` check read. An exposition does not say its unit. */
const MEASURED = 'foothold.check.measured';

function measuredSample({ series, value }: Measured, attributes: Attributes, timeUnixMs: number): Sample {
  const named = { ...attributes, 'foothold.series': series };
  return { scope: SCOPE, name: MEASURED, unit: '1', attributes: named, timeUnixMs, value };
}

export class Recorder {
  private samples: Sample[] = [];
  private since: number | undefined;
  private readonly health = new Map<string, Health>();

  /** After each sample of a stream: `before` are its tallies until then, `on` says whether it is a trial that is watched. */
  sampled(
    context: SiteContext,
    stream: string,
    before: readonly CheckTally[],
    after: readonly CheckTally[],
    on: 'trial' | 'confirmed',
  ): void {
    const now = context.clock.now();
    for (const [index, tally] of after.entries()) {
      if (tally === before[index]) continue;
      this.tellHealth(context, stream, tally, on, now);
      const sampled = tally.consecutiveFailures > 0 || tally.lastPassAt !== undefined;
      if (!sampled) continue;
      const attributes = { 'foothold.stream': stream, 'foothold.check': tally.name, 'foothold.need': tally.need };
      const value = tally.consecutiveFailures === 0 ? 1 : 0;
      this.samples.push({
        scope: SCOPE,
        name: 'foothold.check.passing',
        unit: '1',
        attributes,
        timeUnixMs: now,
        value,
      });
      if (tally.measured) this.samples.push(measuredSample(tally.measured, attributes, now));
    }
    this.since ??= now;
    const due = now - this.since >= context.outbox.windowMs() || now < this.since;
    if (due || this.samples.length >= MOST_SAMPLES) this.flush(context);
  }

  flush(context: SiteContext): void {
    const { samples } = this;
    this.samples = [];
    this.since = undefined;
    const first = ({ name, attributes }: Sample) => name === MEASURED || attributes['foothold.need'] === 'required';
    context.outbox.append('performance', aggregate(samples.filter(first)));
    context.outbox.append('routine', aggregate(samples.filter((one) => !first(one))));
  }

  /**
   * A required check that fails is told by the undo: what would be written first would only delay it. One that cannot be
   * judged ends no trial but by its deadline, and undoes nothing confirmed: then this is all that is heard of it.
   */
  private tellHealth(
    context: SiteContext,
    stream: string,
    tally: CheckTally,
    on: 'trial' | 'confirmed',
    now: number,
  ): void {
    const required = tally.need === 'required';
    if (required && on === 'trial') return;
    const key = `${stream}/${tally.name}`;
    const known = this.health.get(key);
    const sick = required ? alarmsOf([tally]).length > 0 : tally.consecutiveFailures >= tally.limit;
    const healthy = tally.consecutiveFailures === 0 && (!required || tally.consecutiveInconclusive === 0);
    if ((!sick && !healthy) || known?.healthy === healthy) return;
    if (known !== undefined && isPaused(known, now)) return;
    // What is healthy from the first sample on is no news.
    const news = known !== undefined || !healthy;
    this.health.set(key, { healthy, toldAt: news ? now : 0, pause: nextPause(known, now, HEALTH_PAUSES) });
    if (!news) return;
    try {
      const doubt = required && sick ? { inconclusive: true } : {};
      const detail = { check: tally.name, need: tally.need, healthy, ...doubt, detail: tally.detail };
      context.store.transact(() => context.store.append({ kind: 'health', stream, detail }));
    } catch (error) {
      context.storage.note(error, 'a change of health');
    }
  }
}
