/** `agent hold|unhold|revert|history`: a person at the site, with no network. File permissions say who may. */
import type { Command } from 'commander';
import { MistakeError } from '../../policies/model/failure.js';
import type { SiteEvent, SiteHold, StreamReport } from '../../policies/model/report.js';
import { isChanging } from '../../policies/site/transitions.js';
import { EXIT, done, type Answer } from '../answer.js';
import type { Context } from '../context.js';
import type { Execute } from '../execute.js';
import { operatorName, requireReason } from '../operator.js';
import { eventLine } from '../render/event.js';
import { siteHoldLine } from '../render/hold.js';
import { harmless } from '../render/paint.js';
import { indent } from '../render/table.js';
import { untilOf } from './freeze.js';
import { limitOf } from './owed.js';

interface Flags {
  config: string;
  reason?: string;
  by?: string;
  dryRun?: boolean;
}

const CONFIG = 'agent.yaml';

export function declareAgentOperator(agent: Command, execute: Execute): void {
  const verb = (name: string, description: string): Command =>
    agent
      .command(name)
      .description(description)
      .option('--reason <why>', 'goes into the journal of the site; required')
      .option('--by <name>', 'who asks (default: FOOTHOLD_BY, else user@host)')
      .option('--config <file>', 'the site’s agent.yaml', CONFIG)
      .option('--dry-run', 'say what would be done, and do nothing');
  verb('hold', 'let nothing new be switched here, until a time or until it is lifted; an undo never waits')
    .argument('[stream]', 'only this stream (default: every stream)')
    .option('--until <time>', 'such as 2026-12-27T06:00:00Z, or a duration from now such as 8h (default: no end)')
    .action((stream: string | undefined, flags: Flags & { until?: string }, self: Command) =>
      execute(self, (context) => hold(context, stream, flags)),
    );
  verb('unhold', 'lift a hold, and let a stream that is named out of safe mode')
    .argument('[stream]', 'as it was held')
    .action((stream: string | undefined, flags: Flags, self: Command) =>
      execute(self, (context) => unhold(context, stream, flags)),
    );
  verb('revert', 'go back to what was confirmed here before')
    .argument('<stream>')
    .action((stream: string, flags: Flags, self: Command) =>
      execute(self, (context) => revert(context, stream, flags)),
    );
  agent
    .command('history')
    .description('the journal of this site, newest last')
    .option('--limit <n>', 'at most so many (default: 50)')
    .option('--config <file>', 'the site’s agent.yaml', CONFIG)
    .action((flags: { config: string; limit?: string }, self: Command) =>
      execute(self, (context) => history(context, flags)),
    );
}

async function dataDirectory(context: Context, config: string): Promise<string> {
  const { loadAgent } = await import('../../records/files/agent-file.js');
  return (await loadAgent(context.path(config))).agent.data;
}

async function client() {
  return (await import('../../site/local/client.js')).callAgent;
}

function named(stream: string | undefined): { stream?: string } {
  return stream === undefined ? {} : { stream };
}

/** `{ holds }`: all that are in force here. The end is given to the agent as time from now, which no clock can change. */
export async function hold(
  context: Context,
  stream: string | undefined,
  flags: Flags & { until?: string },
): Promise<Answer> {
  const now = context.io.now();
  const reason = requireReason(flags.reason, 'agent hold');
  const lasts = flags.until === undefined ? {} : { lasts: untilOf(flags.until, now) - now };
  const request = { ...named(stream), by: operatorName(flags.by, context.io.env), reason, ...lasts };
  const data = await dataDirectory(context, flags.config);
  if (flags.dryRun === true) {
    const { lasts: endsIn, ...wanted } = { lasts: undefined, ...request };
    const line = siteHoldLine({ ...wanted, at: now, ...(endsIn === undefined ? {} : { endsIn }) });
    return done({ hold: request, dryRun: true }, `would hold ${line}`);
  }
  const { holds } = await (await client())(data, 'hold', request);
  return done({ holds }, `${context.paint('green', 'held')}\n${holdsText(holds)}`);
}

/** `{ lifted, safeModeLeft, holds }`; exit code 1 if nothing was held or in safe mode. */
export async function unhold(context: Context, stream: string | undefined, flags: Flags): Promise<Answer> {
  const request = {
    ...named(stream),
    by: operatorName(flags.by, context.io.env),
    reason: requireReason(flags.reason, 'agent unhold'),
  };
  const data = await dataDirectory(context, flags.config);
  if (flags.dryRun === true) {
    const { holds = [], streams } = await (await client())(data, 'status', {});
    const lifted = holds.filter((one) => one.stream === stream);
    const safeModeLeft = stream !== undefined && streams[stream]?.safeMode ? [stream] : [];
    const text = endedText(lifted, safeModeLeft, 'would be ended') || 'nothing would be lifted';
    return { exit: exitOf(lifted, safeModeLeft), document: { lifted, safeModeLeft, dryRun: true }, text };
  }
  const { lifted, safeModeLeft, holds } = await (await client())(data, 'unhold', request);
  const what =
    stream === undefined ? 'no hold is on every stream' : `${stream} has no hold of its own, and is not in safe mode`;
  const head = endedText(lifted, safeModeLeft, 'ended') || `nothing was lifted: ${what}`;
  return {
    exit: exitOf(lifted, safeModeLeft),
    document: { lifted, safeModeLeft, holds },
    text: `${head}\n${holdsText(holds)}`,
  };
}

function exitOf(lifted: SiteHold[], safeModeLeft: string[]): Answer['exit'] {
  return lifted.length + safeModeLeft.length === 0 ? EXIT.no : EXIT.done;
}

function endedText(lifted: SiteHold[], safeModeLeft: string[], word: string): string {
  return [
    ...lifted.map((one) => `${word}: ${siteHoldLine(one)}`),
    ...safeModeLeft.map((stream) => `${word}: safe mode of ${stream}`),
  ].join('\n');
}

function holdsText(holds: SiteHold[]): string {
  if (holds.length === 0) return 'nothing is held here';
  return `in force: nothing new is switched; an undo never waits\n${indent(holds.map(siteHoldLine).join('\n'))}`;
}

const LOOK_AGAIN_MS = 200;
const UNDO_WITHIN_MS = 120_000;
const EVENTS_LOOKED_AT = 50;

/** `{ stream, state, live, cause }` once an undo of the stream has ended; exit code 1 if that is not `reverted`. */
export async function revert(context: Context, stream: string, flags: Flags): Promise<Answer> {
  const request = {
    stream,
    by: operatorName(flags.by, context.io.env),
    reason: requireReason(flags.reason, 'agent revert'),
  };
  const data = await dataDirectory(context, flags.config);
  const callAgent = await client();
  const before = await callAgent(data, 'status', {});
  if (flags.dryRun === true) return wouldRevert(stream, before.streams[stream]);
  await callAgent(data, 'revert', request);
  const { setTimeout: pause } = await import('node:timers/promises');
  for (const end = Date.now() + UNDO_WITHIN_MS; Date.now() < end; await pause(LOOK_AGAIN_MS)) {
    const events = await callAgent(data, 'history', { limit: EVENTS_LOOKED_AT });
    const ended = events.find((event) => event.sequence > before.sequence && event.stream === stream && isUndo(event));
    if (!ended) continue;
    const now = (await callAgent(data, 'status', {})).streams[stream]?.live;
    const cause = String(ended.detail['cause']);
    // Whoever is faster: the agent undoes what was live when it was asked, and nothing before that.
    const other = cause === 'person' ? '' : ` (undone by ${cause} just now; nothing further was undone)`;
    const text = harmless(`${ended.kind}: ${stream} runs ${now?.version ?? 'nothing that is known'}${other}`);
    const document = { stream, state: ended.kind, live: now ?? null, cause };
    return { exit: ended.kind === 'reverted' ? EXIT.done : EXIT.no, document, text };
  }
  const { state = 'idle', live } = (await callAgent(data, 'status', {})).streams[stream] ?? {};
  const text = `no undo has ended within ${UNDO_WITHIN_MS / 1_000} s: ${stream} is ${state}; look again with foothold agent status`;
  return { exit: EXIT.no, document: { stream, state, live: live ?? null }, text: harmless(text) };
}

/** An answer that nothing was changed is none. */
function isUndo({ kind, detail }: SiteEvent): boolean {
  return (kind === 'reverted' || kind === 'safe-mode') && detail['changed'] !== false;
}

function wouldRevert(stream: string, report: StreamReport | undefined): Answer {
  const { state, live, lkg } = report ?? {};
  if (!live || !lkg) throw new MistakeError('LKG_MISSING', `stream ${stream} has nothing to go back to`);
  if (state !== undefined && isChanging(state)) {
    throw new MistakeError('AGENT_BUSY', `stream ${stream} is ${state}; ask again once that has ended`);
  }
  return done({ stream, undo: live, to: lkg, dryRun: true }, `would go back from ${live.version} to ${lkg.version}`);
}

/** The events as the site journaled them. */
export async function history(context: Context, flags: { config: string; limit?: string }): Promise<Answer> {
  const limit = limitOf(flags.limit, 50) ?? 50;
  const events = await (await client())(await dataDirectory(context, flags.config), 'history', { limit });
  const now = context.io.now();
  return done(events, events.map((event) => eventLine(event, now)).join('\n') || 'nothing was journaled');
}
