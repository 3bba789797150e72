/** An entry of the history in one line: when, where, what, who. */
import { describeEntry } from '../../policies/rollout/transcript.js';
import type { HistoryEntry } from '../../records/registry/registry.js';
import { harmless } from './paint.js';
import { clock } from './times.js';

const LONGEST = 160;

export function historyLine(entry: HistoryEntry, now: number): string {
  const { at, rollout, stream, site } = entry;
  const where = rollout ?? stream ?? site ?? '';
  const said = harmless(what(entry));
  const line = `${clock(at, now).padEnd(12)} ${where.padEnd(24)} ${said}`;
  return line.length > LONGEST ? `${line.slice(0, LONGEST - 1)}…` : line;
}

function what(entry: HistoryEntry): string {
  const { kind, site, data, who } = entry;
  const by = who === undefined ? '' : ` by ${who}`;
  const why = typeof data['reason'] === 'string' ? `: ${data['reason']}` : '';
  if (kind.startsWith('event/')) return `${site ?? ''} ${kind.slice('event/'.length)}${resultText(data)}`;
  if (kind.startsWith('site/')) return `${site ?? ''} ${kind.slice('site/'.length)}${epochText(data)}${by}${why}`;
  switch (kind) {
    case 'keyset':
      return `control keys: keyset ${text(data['version'])}, signed by ${text(data['signedBy'])}${by}`;
    case 'allow':
      return `allowed${site === undefined ? '' : ` at ${site}`} ${text(data['digest'])}${by}${why}`;
    case 'block':
      return `blocked ${text(data['version'])}`;
    case 'hold':
    case 'unhold':
      return `${kind} of ${site ?? ''}${entry.stream === undefined ? '' : ` ${entry.stream}`}${by}${why}`;
    case 'freeze':
    case 'unfreeze':
      return `${kind}${data['only'] === undefined ? '' : ` ${text(data['only'])}`}${by}${why}`;
    default:
      return described(entry);
  }
}

/** Counted from the entry itself, a time by the site's clock says nothing. Evidence of another version may look otherwise. */
function described({ kind, data, at }: HistoryEntry): string {
  try {
    return describeEntry({ kind, data }, at)?.replace(/, at -?[\d.]+ s by its clock$/, '') ?? kind;
  } catch {
    return `${kind} ${JSON.stringify(data)}`;
  }
}

function epochText({ epoch }: Record<string, unknown>): string {
  return typeof epoch === 'number' ? ` (epoch ${epoch})` : '';
}

function resultText(data: Record<string, unknown>): string {
  const result = data['result'] as { reason?: { code: string; detail: string } } | undefined;
  return result?.reason ? ` ${result.reason.code} (${result.reason.detail})` : '';
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
