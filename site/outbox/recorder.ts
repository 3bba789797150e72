/** Gathers samples of checks into windows, and tells changes of health at once, as events of the journal. */
import { aggregate } from '../../policies/site/aggregate.js';
import type { Sample } from '../../policies/model/telemetry.js';
import type { CheckTally } from '../../policies/site/decide-watch.js';
import type { SiteContext } from '../context.js';

const SCOPE = { name: 'foothold.checks' };
/** Samples held in memory before they are aggregated: a check may be as fast as it likes. */
const MOST_SAMPLES = 1_000;
/** A check that flaps is told once in this time. */
const HEALTH_EVERY_MS = 60_000;

interface Health {
  healthy: boolean;
  toldAt: number;
}

export class Recorder {
  private samples: Sample[] = [];
  private since: number | undefined;
  private readonly health = new Map<string, Health>();

  /** After each sample of a stream: `before` are its tallies until then. */
  sampled(context: SiteContext, stream: string, before: readonly CheckTally[], after: readonly CheckTally[]): void {
    const now = context.clock.now();
    for (const [index, tally] of after.entries()) {
      const sampled = tally.consecutiveFailures > 0 || tally.lastPassAt !== undefined;
      if (tally === before[index] || !sampled) continue;
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
      this.tellHealth(context, stream, tally, now);
    }
    this.since ??= now;
    const due = now - this.since >= context.outbox.windowMs() || now < this.since;
    if (due || this.samples.length >= MOST_SAMPLES) this.flush(context);
  }

  flush(context: SiteContext): void {
    const { samples } = this;
    this.samples = [];
    this.since = undefined;
    const required = (sample: Sample) => sample.attributes['foothold.need'] === 'required';
    context.outbox.append('performance', aggregate(samples.filter(required)));
    context.outbox.append('routine', aggregate(samples.filter((one) => !required(one))));
  }

  /** A required check that fails is told by the undo: what would be written first would only delay it. */
  private tellHealth(context: SiteContext, stream: string, tally: CheckTally, now: number): void {
    if (tally.need === 'required') return;
    const key = `${stream}/${tally.name}`;
    const known = this.health.get(key);
    const sick = tally.consecutiveFailures >= tally.limit;
    const healthy = tally.consecutiveFailures === 0;
    if ((!sick && !healthy) || known?.healthy === healthy) return;
    if (known !== undefined && now >= known.toldAt && now - known.toldAt < HEALTH_EVERY_MS) return;
    // What is healthy from the first sample on is no news.
    const news = known !== undefined || !healthy;
    this.health.set(key, { healthy, toldAt: news ? now : 0 });
    if (!news) return;
    try {
      const detail = { check: tally.name, need: tally.need, healthy, detail: tally.detail };
      context.store.transact(() => context.store.append({ kind: 'health', stream, detail }));
    } catch (error) {
      context.storage.note(error, 'a change of health');
    }
  }
}
