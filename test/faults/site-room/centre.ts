/** The centre as a site sees it: signs commands, asks again until there is a result, and keeps the site's journal. */
import { generateKeyPairSync } from 'node:crypto';
import type { Command, Envelope, Result, Settled, Verb } from '../../../policies/model/command.js';
import type { SiteEvent } from '../../../policies/model/report.js';
import { signCommand } from '../../../policies/signing/dsse.js';
import { signKeyset } from '../../../policies/signing/keyset.js';
import { leavesRevertOwed } from '../../../policies/site/not-taken.js';
import type { PlannedRollout } from './plan.js';
import type { SimRelease } from './world.js';

export const SITE = 'osl-01';
/** The centre's own clock is right: true time, from a fixed day on. */
export const EPOCH_MS = Date.UTC(2031, 5, 1);

function keyPair() {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  return {
    public: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    private: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}
/** Their values decide nothing, so they may differ from run to run. */
export const KEYS = [keyPair(), keyPair()] as const;

export interface Order {
  command: Command;
  allowed: boolean;
  result?: Result;
  /** Observed over and over: how often a result came. */
  answers: number;
}

export class Centre {
  readonly orders: Order[] = [];
  readonly journal = new Map<number, SiteEvent>();
  /** Everything up to here is recorded. */
  head = 0;
  /** The journal at the site is not the one recorded here: an older data directory was put back. */
  forked = false;
  diskHasFailed = false;
  private rotatedAt: number | undefined;

  constructor(private readonly say: (invariant: string, detail: string) => void) {}

  rotate(now: number): void {
    this.rotatedAt ??= EPOCH_MS + now;
  }

  /** Reverts carry the generation above that of the rollout's converges. */
  issue(
    release: SimRelease,
    rollout: PlannedRollout,
    of: { verb: Verb; generation: number; try: number; now: number },
  ): Order {
    const { verb, generation, now } = of;
    const issuedAt = EPOCH_MS + now;
    const command: Command = {
      version: 1,
      id: `run-${verb === 'revert' ? generation - 1 : generation}/${SITE}/${release.stream}/${verb}/${of.try}`,
      rollout: `${release.stream}-${release.version}-${generation}`,
      site: SITE,
      stream: release.stream,
      verb,
      generation,
      try: of.try,
      digest: release.digest,
      releaseVersion: release.version,
      vars: {},
      planDigest: `sha256:${'0'.repeat(64)}`,
      issuedAt,
      ...(verb === 'converge' ? { switchBy: issuedAt + rollout.patience } : {}),
      allowed: verb === 'converge' && rollout.allowed,
      ackedThrough: { epoch: 1, sequence: 0 },
    };
    const order = { command, allowed: rollout.allowed, answers: 0 };
    this.orders.push(order);
    return order;
  }

  /** Signed anew at each sending: what is acknowledged grows. */
  sign({ command }: Order): Envelope {
    const last = this.journal.get(this.head);
    const ackedThrough = { epoch: 1, sequence: this.head, ...(last ? { hash: last.hash } : {}) };
    if (this.rotatedAt === undefined) return signCommand({ ...command, ackedThrough }, KEYS[0].private);
    const keyset = signKeyset(1, [KEYS[1].public], [KEYS[0].private], this.rotatedAt);
    return signCommand({ ...command, ackedThrough, keyset }, KEYS[1].private);
  }

  /** True if it is the first result. */
  take(order: Order, settled: Settled): boolean {
    if (settled.kind === 'unsettled') return false;
    this.record(settled.events);
    const { result } = settled;
    order.answers += 1;
    // What the site has journaled is final, whatever its reason.
    const journaled = [...this.journal.values()].some((event) => event.result?.commandId === order.command.id);
    if (!journaled && leavesRevertOwed({ ...result, verb: 'revert' })) return this.takeRefusal(order, result);
    if (order.result && JSON.stringify(order.result) !== JSON.stringify(result) && !this.forked) {
      this.say('the same command id has the same result for ever', `${order.command.id}: ${result.result}`);
    }
    const first = order.result === undefined;
    order.result = result;
    return first;
  }

  /** Only an agent with another journal may refuse what this centre signs, or one whose disk has failed: until it is mended. */
  private takeRefusal(order: Order, result: Result): boolean {
    if (result.reason?.code === 'STORAGE_FAULT' && this.diskHasFailed) return false;
    if (this.forked) order.result ??= result;
    else this.say('what the centre signs is taken', `${order.command.id}: ${result.reason?.code ?? ''}`);
    return false;
  }

  record(events: readonly SiteEvent[]): void {
    for (const event of events) {
      const known = this.journal.get(event.sequence);
      if (known && known.hash !== event.hash && !this.forked) {
        this.say('no event that was told changes', `event ${event.sequence} was ${known.kind} and is ${event.kind}`);
      }
      if (!known) this.journal.set(event.sequence, event);
    }
    while (this.journal.has(this.head + 1)) this.head += 1;
  }
}
