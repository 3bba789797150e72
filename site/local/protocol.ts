/** How the command line speaks with the agent of this machine: one JSON line each way over a socket in the data directory. */
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { LinkState } from '../../policies/model/link.js';
import type { SiteEvent, SiteHold, SiteReport } from '../../policies/model/report.js';
import type { SparePriority } from '../../policies/model/telemetry.js';
import type { AdoptRequest, Adopted } from '../adopt-request.js';
import type { DriftRequest } from '../drift.js';
import type { HoldRequest, Unheld, UnholdRequest } from '../holds.js';
import type { Answered, PersonalAnswer } from '../answer-check.js';

/** `lastContact`: epoch ms, 0 if the centre was never reached. `unacknowledged`: events the centre has not recorded. */
export interface AgentStatus extends SiteReport {
  lastContact: number;
  unacknowledged: number;
  /** Samples and log lines that wait for the centre's word that it has them. Absent from agents of before. */
  outbox?: Record<SparePriority, { entries: number; bytes: number }>;
  link?: LinkState;
}

/** What can be asked: parameters and answer by method. */
export interface AgentMethods {
  status: { params: Record<string, never>; answer: AgentStatus };
  history: { params: { limit: number }; answer: SiteEvent[] };
  adopt: { params: AdoptRequest; answer: Adopted };
  confirm: { params: PersonalAnswer; answer: Answered };
  mended: { params: { by: string; reason: string }; answer: { read: number; healed: number } };
  revert: { params: { stream: string; by: string; reason: string }; answer: { accepted: true } };
  hold: { params: HoldRequest; answer: { holds: SiteHold[] } };
  unhold: { params: UnholdRequest; answer: Unheld & { holds: SiteHold[] } };
  drift: { params: DriftRequest; answer: AgentStatus };
}
export type AgentMethod = keyof AgentMethods;

export type LocalAnswer =
  { ok: true; answer: unknown } | { ok: false; family: 'mistake' | 'world'; code: string; message: string };

/** Longest request or answer, bytes. */
export const LINE_LIMIT = 64 * 1024 * 1024;

/** The kernel's limit for the path of a socket is 107 bytes. */
const LONGEST_SOCKET_PATH = 100;

/** In the data directory; for one with a very long path, a name derived from it in the temporary directory. */
export function socketPath(dataDirectory: string): string {
  const path = join(resolve(dataDirectory), 'agent.sock');
  if (Buffer.byteLength(path) <= LONGEST_SOCKET_PATH) return path;
  const name = createHash('sha256').update(path).digest('hex').slice(0, 24);
  return join(tmpdir(), `foothold-${process.getuid?.() ?? 0}-${name}.sock`);
}
