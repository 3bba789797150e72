/** Plain facts for the registry's tests: plans, journals that link, results, reports. */
import type { Cause, Result, ResultWord, Settled, Verb } from '../../../policies/model/command.js';
import type { EvidenceKey } from '../../../policies/model/evidence.js';
import type { FrozenPlan } from '../../../policies/model/plan.js';
import type { SiteEvent, SiteEventKind, SiteReport } from '../../../policies/model/report.js';
import type { RolloutStatus } from '../../../policies/model/rollout.js';
import { linkSiteEvent } from '../../../policies/signing/chain.js';
import { digestOf } from '../../../policies/signing/jcs.js';

export const DIGEST = `sha256:${'a'.repeat(64)}`;
export const STREAM = 'edge-proxy';
export const PLACE = { stage: 'canary', wave: 1 };

export function key(firstRunId: string, activityId: string, runId = firstRunId): EvidenceKey {
  return { firstRunId, runId, activityId };
}

export function commandId(firstRunId: string, site: string, verb: Verb = 'converge', tries = 1): string {
  return `${firstRunId}/${site}/${STREAM}/${verb}/${tries}`;
}

export function frozenPlan(version = '2.4.0', stream = STREAM, note = 'careful'): FrozenPlan {
  const plan = {
    version: 1 as const,
    release: { stream, version, digest: DIGEST },
    strategy: {
      name: note,
      digest: DIGEST,
      onFailure: 'revert-stage' as const,
      onInconclusive: { within: 1_000, then: 'stay' as const },
    },
    stages: [],
    excluded: [],
  };
  return { plan: { ...plan, digest: digestOf(plan) }, sites: {} };
}

export function status(firstRunId: string, changes: Partial<RolloutStatus> = {}): RolloutStatus {
  return {
    label: `${STREAM}-2.4.0-1`,
    workflowId: `rollout-${firstRunId}`,
    firstRunId,
    stream: STREAM,
    release: { version: '2.4.0', digest: DIGEST },
    strategy: 'careful',
    planDigest: frozenPlan().plan.digest,
    generation: 1,
    state: 'running',
    stages: [],
    startedAt: 1_000,
    updatedAt: 1_000,
    owedReverts: [],
    ...changes,
  };
}

export function result(id: string, word: ResultWord, changes: Partial<Result> = {}): Result {
  const [, site = '', stream = '', verb, tries] = id.split('/');
  const named = { commandId: id, site, stream, verb: verb as Verb, generation: 1, try: Number(tries) };
  return { ...named, result: word, at: 2_000, changed: word !== 'rejected', ...changes };
}

export function report(site: string, changes: Partial<SiteReport> = {}): SiteReport {
  const streams: SiteReport['streams'] = { [STREAM]: { state: 'confirmed', generation: 1, try: 1, checks: [] } };
  return {
    site,
    at: 2_000,
    epoch: 1,
    sequence: 1,
    agentVersion: '0',
    streams,
    versions: {},
    quarantined: [],
    ...changes,
  };
}

export function settled(ended: Result, events: SiteEvent[] = [], ofSite = report(ended.site)): Settled {
  return { kind: 'result', commandId: ended.commandId, result: ended, report: ofSite, events };
}

/** The journal of one site, as its agent would write it. */
export class Journal {
  readonly events: SiteEvent[] = [];
  constructor(
    readonly site: string,
    readonly epoch = 1,
  ) {}

  add(kind: SiteEventKind, changes: Partial<SiteEvent> = {}): SiteEvent {
    const content = {
      site: this.site,
      epoch: this.epoch,
      at: 2_000 + this.events.length,
      kind,
      detail: {},
      ...changes,
    };
    const event = linkSiteEvent(content, this.events.at(-1));
    this.events.push(event);
    return event;
  }

  ended(ended: Result): SiteEvent {
    const kind = ended.result;
    return this.add(kind, { commandId: ended.commandId, stream: ended.stream, result: ended, at: ended.at });
  }

  /** A site that goes back by itself after it had confirmed. */
  wentBack(id: string, cause: Cause, at: number): SiteEvent {
    const detail = { cause, reason: { code: 'CHECK_FAILED', detail: 'answers: 503' } };
    return this.add('reverted', { commandId: id, stream: STREAM, at, detail });
  }
}
