/**
 * Who a simulated site is, and which control keys it trusts: whether a command is for it is asked of the same policies as
 * an agent asks (docs/decisions/0003).
 */
import { Command, type Envelope } from '../../policies/model/command.js';
import { FIRST_EPOCH, type SignedToken } from '../../policies/model/enrolment.js';
import { MistakeError } from '../../policies/model/failure.js';
import type { SiteReport } from '../../policies/model/report.js';
import { openEnvelope, readUnverified } from '../../policies/signing/dsse.js';
import { claimedKeyset, keyIdOf, openKeyset, openToken } from '../../policies/signing/keyset.js';
import { decideEnrolment } from '../../policies/site/decide-enrolment.js';
import { judgeAddressee, type Addressee } from '../../policies/site/judge-addressee.js';
import { decideKeyset, type TrustedKeys } from '../../policies/site/judge-keyset.js';
import type { NotTaken } from '../../policies/site/not-taken.js';

/** A command, and why it is not taken in, if it is not. */
export interface Opened {
  command: Command;
  refused?: NotTaken;
}

type Journal = Pick<Addressee, 'sequence' | 'hashAt'>;

export class SiteSelf {
  epoch = FIRST_EPOCH;
  private enrolment: SiteReport['enrolment'];
  private trust: TrustedKeys;
  private keyIds: string[];

  constructor(
    readonly site: string,
    pinnedPems: string[],
  ) {
    this.trust = { version: 0, pems: pinnedPems };
    this.keyIds = pinnedPems.map(keyIdOf).sort();
  }

  /** An empty data directory takes a token in, as `foothold agent enrol` does: on the word of the keys that it pins. */
  enrol(token: SignedToken, instance: string): void {
    const opened = openToken(token, this.trust.pems);
    const decision = opened && decideEnrolment({}, opened, Date.now());
    if (!opened || decision?.kind !== 'first')
      throw new Error(`${this.site}: the token was not taken: ${decision?.kind}`);
    this.offer(opened.keyset);
    this.epoch = opened.epoch;
    this.enrolment = { tokenId: opened.id, instance, token };
  }

  /** The control keys that a command brings are looked at before the command is. */
  open(envelope: Envelope, journal: Journal): Opened {
    const claims = readUnverified(envelope);
    if (typeof claims === 'object' && claims !== null && 'keyset' in claims) this.offer(claims.keyset);
    const command = openEnvelope(envelope, this.trust.pems);
    if (!command) return this.unsigned(claims);
    if (command.site !== this.site) {
      return { command, refused: { code: 'WRONG_SITE', detail: `for ${command.site}, this is ${this.site}` } };
    }
    const { epoch, enrolment } = this;
    const refused = judgeAddressee(command, { epoch, instance: enrolment?.instance, ...journal });
    return refused ? { command, refused } : { command };
  }

  reported(): Pick<SiteReport, 'epoch' | 'enrolment' | 'keyset'> {
    const { epoch, enrolment, trust, keyIds } = this;
    return { epoch, keyset: { version: trust.version, keys: keyIds }, ...(enrolment && { enrolment }) };
  }

  private unsigned(claims: unknown): Opened {
    const refused: NotTaken = {
      code: 'SIGNATURE_INVALID',
      detail: 'no control key that this site trusts has signed it',
    };
    const read = Command.safeParse(claims);
    if (!read.success) throw new MistakeError(refused.code, refused.detail);
    return { command: read.data, refused };
  }

  private offer(envelope: unknown): void {
    const offered = claimedKeyset(envelope);
    if (offered === undefined || offered.version < this.trust.version) return;
    const decision = decideKeyset(this.trust, offered, openKeyset(envelope, this.trust.pems) !== undefined);
    if (decision.kind !== 'adopt') return;
    this.trust = { version: offered.version, pems: offered.keys.map(({ pem }) => pem) };
    this.keyIds = this.trust.pems.map(keyIdOf).sort();
  }
}
