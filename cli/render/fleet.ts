/** The fleet on one screen: totals a stream, then the sites that need a look. */
import type { StreamTotals } from '../fleet-count.js';
import type { StreamRow } from '../fleet-rows.js';
import type { Context } from '../context.js';
import type { Colour } from './paint.js';
import { harmless } from './paint.js';
import { table } from './table.js';
import { span } from './times.js';

export interface FleetView {
  totals: StreamTotals[];
  rows: StreamRow[];
  /** Rows in all. */
  of: number;
  sites: number;
  neverReported: string[];
  /** Sites by what is to be said of who speaks for them. */
  speakers: Record<'doubt' | 'refused' | 'waiting', string[]>;
  known: boolean;
}

export function fleetStatusText(context: Context, view: FleetView): string {
  const more =
    view.of > view.rows.length ? `… and ${view.of - view.rows.length} more (--limit ${view.of}, or --json)\n` : '';
  const note = view.known ? '' : 'no registry here: what sites reported is not known (--registry)\n';
  const summary = [`${view.sites} sites, ${view.neverReported.length} never reported`, ...speakersText(context, view)];
  return `${totalsTable(context, view.totals)}${summary.join(', ')}\n${note}\n${rowsTable(context, view.rows)}${more}`;
}

function totalsTable(context: Context, totals: StreamTotals[]): string {
  const number = (count: number, colour: Colour): string => (count === 0 ? '0' : context.paint(colour, String(count)));
  const rows = totals.map((one) => [
    one.stream,
    String(one.sites),
    number(one.same, 'green'),
    number(one.owed, 'yellow'),
    number(one.pending, 'blue'),
    number(one.unknown, 'yellow'),
    number(one.ahead, 'red'),
    String(one.undecided),
    number(one.owedReverts, 'red'),
  ]);
  const header = ['STREAM', 'ACTIVE', 'SAME', 'DIFFER', 'CHANGING', 'UNKNOWN', 'AHEAD', 'UNDECIDED', 'OWED REVERTS'];
  return table(header, rows, header.slice(1));
}

const DRIFT: Record<NonNullable<StreamRow['drift']>, string> = {
  same: 'same',
  owed: 'differs',
  ahead: 'ahead of what is known here',
  pending: 'changing',
  unknown: 'unknown',
};

function rowsTable(context: Context, rows: StreamRow[]): string {
  const now = context.io.now();
  const lines = rows.map((row) => [
    row.site,
    row.stream,
    row.version ?? '-',
    stateText(context, row),
    row.receivedAt === null ? '-' : `${span(now - row.receivedAt)} ago`,
    row.desired?.version ?? '-',
    row.drift === null ? '-' : DRIFT[row.drift],
    owesText(row),
    [row.speaker?.text ?? '', row.declared === 'active' ? '' : row.declared, ...row.notes, ...row.differs]
      .filter((part) => part !== '')
      .map(harmless)
      .join('; '),
  ]);
  return table(['SITE', 'STREAM', 'VERSION', 'STATE', 'REPORTED', 'DESIRED', 'DRIFT', 'OWES', 'NOTE'], lines);
}

function speakersText(context: Context, { speakers: { doubt, refused, waiting } }: FleetView): string[] {
  return [
    ...(doubt.length === 0 ? [] : [context.paint('red', `${doubt.length} in doubt`)]),
    ...(refused.length === 0 ? [] : [context.paint('red', `${refused.length} with an agent that is refused`)]),
    ...(waiting.length === 0 ? [] : [context.paint('yellow', `${waiting.length} with a token not used yet`)]),
  ];
}

function stateText(context: Context, { state, receivedAt }: StreamRow): string {
  if (state !== null) return state;
  return receivedAt === null ? context.paint('yellow', 'never reported') : 'nothing yet';
}

function owesText({ owes: { converge, revert } }: StreamRow): string {
  const parts = [revert > 0 ? 'revert' : '', converge > 0 ? 'converge' : ''].filter((part) => part !== '');
  return parts.length === 0 ? '-' : parts.join(', ');
}
