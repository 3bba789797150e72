/** Steady traffic to every site, each request on a connection of its own: what reaches the site is never reused or retried. */
import { request } from 'node:http';
import { Counter, Registry } from 'prom-client';
import { countAnswers, nextOutage, type Answer, type Count, type Outage } from './timeline.js';

export interface LoadedSite {
  id: string;
  url: string;
}

export interface LoadOptions {
  sites: LoadedSite[];
  /** Requests a second to each site. */
  rate: number;
  /** Milliseconds until an unanswered request counts as `000`. */
  timeout: number;
}

/** Exported with 0 from the start: a series that begins at its first failure hides that failure from `rate()`. */
const CODES = ['200', '500', '502', '503', '504', '000'];
/** About an hour of answers at 25 a second. */
const KEPT = 100_000;

export class LoadGenerator {
  readonly registry = new Registry();
  private readonly total: Counter<'site' | 'code'>;
  private readonly answers = new Map<string, Answer[]>();
  private timers: NodeJS.Timeout[] = [];

  constructor(private readonly options: LoadOptions) {
    this.total = new Counter({
      name: 'http_requests_total',
      help: 'Requests of the load generator by site and status code; 000: no answer',
      labelNames: ['site', 'code'],
      registers: [this.registry],
    });
    for (const { id } of options.sites) {
      this.answers.set(id, []);
      for (const code of CODES) this.total.inc({ site: id, code }, 0);
    }
  }

  start(): void {
    const { sites, rate } = this.options;
    const period = 1_000 / rate;
    this.timers = sites.map((site, index) => {
      const begin = performance.now() + (period * index) / sites.length;
      let sent = 0;
      // Paced by the clock, not by the last answer: a slow site gets no less traffic, and a late timer catches up.
      return setInterval(() => {
        const due = Math.min(Math.floor((performance.now() - begin) / period) + 1 - sent, 10);
        for (let count = 0; count < due; count += 1) this.send(site);
        sent += Math.max(due, 0);
      }, period / 2);
    });
  }

  stop(): void {
    for (const timer of this.timers) clearInterval(timer);
    this.timers = [];
  }

  count(site: string, from: number, to: number): Count {
    return countAnswers(this.timeline(site), from, to);
  }

  outage(site: string, from: number): Outage | undefined {
    return nextOutage(this.timeline(site), from);
  }

  timeline(site: string): readonly Answer[] {
    const answers = this.answers.get(site);
    if (!answers) throw new RangeError(`expected a site under load, got ${site}`);
    return answers;
  }

  private send(site: LoadedSite): void {
    let answered = false;
    const record = (code: string): void => {
      if (answered) return;
      answered = true;
      this.record(site.id, code);
    };
    const sent = request(site.url, { agent: false, timeout: this.options.timeout }, (response) => {
      response.resume();
      // A connection that breaks in the middle of a body is no answer, whatever its status line said.
      response.on('close', () => record(response.complete ? String(response.statusCode) : '000'));
    });
    sent.on('timeout', () => sent.destroy(new Error('no answer in time')));
    sent.on('error', () => record('000'));
    sent.end();
  }

  private record(site: string, code: string): void {
    this.total.inc({ site, code });
    const answers = this.answers.get(site);
    answers?.push({ at: Date.now(), code });
    if (answers && answers.length > KEPT) answers.splice(0, KEPT / 2);
  }
}
