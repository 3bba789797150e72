/** `agent run|status|adopt`: at the site. Only `run` knows a network; the others speak to the agent on its own machine. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { MistakeError } from '../../policies/model/failure.js';
import type { AgentFile } from '../../policies/model/project.js';
import type { CheckReport } from '../../policies/model/report.js';
import type { Vars } from '../../policies/model/names.js';
import type { AgentMethods, AgentStatus } from '../../site/local/client.js';
import { done, type Answer } from '../answer.js';
import type { Context } from '../context.js';
import type { Execute } from '../execute.js';
import { harmless } from '../render/paint.js';
import { indent, table } from '../render/table.js';
import { clock, span } from '../render/times.js';
import { releaseReference } from '../inputs.js';
import { driftLines, safeModeLines, siteHoldLine } from '../render/hold.js';
import { declareAgentConfirm } from './agent-confirm.js';
import { operatorName } from '../operator.js';
import { declareAgentEnrol } from './agent-enrol.js';
import { declareAgentOperator } from './agent-operator.js';
import { collect } from '../repeated.js';

const CONFIG = 'agent.yaml';

interface AgentFlags {
  config: string;
}
interface StatusFlags extends AgentFlags {
  drift?: boolean;
  like?: string;
  var?: string[];
}
interface AdoptFlags extends AgentFlags {
  like?: string;
  var: string[];
  dryRun?: boolean;
}

export function declareAgent(program: Command, execute: Execute): void {
  const agent = program.command('agent').description('the agent of a site, at the site');
  declareAgentEnrol(agent, execute);
  declareAgentOperator(agent, execute);
  declareAgentConfirm(agent, execute);
  agent
    .command('run')
    .description('guard this site and carry out commands, until interrupted')
    .option('--config <file>', 'the site’s agent.yaml', CONFIG)
    .option('--observe', 'only look and tell: refuse every converge, and change nothing at the site')
    .action((flags: AgentFlags & { observe?: boolean }, self: Command) =>
      execute(self, (context) => runAgent(context, flags)),
    );
  agent
    .command('status')
    .description('what this site runs, what its checks say, who holds it, and what differs from its release')
    .option('--drift', 'compare what is live with its release now, instead of telling what was seen last')
    .option('--like <release>', 'of an agent that only observes: the release to compare with from now on')
    .option('--config <file>', 'the site’s agent.yaml', CONFIG)
    .option('--var <name=value>', 'for --like: a variable of this site; repeated', collect, [])
    .action((flags: StatusFlags, self: Command) => execute(self, (context) => agentStatus(context, flags)));
  agent
    .command('mended')
    .description('say that the disk of this site was mended: all that is kept is read back, then it is believed again')
    .requiredOption('--reason <text>', 'what was done; journaled')
    .option('--by <name>', 'who says so')
    .option('--config <file>', 'the site’s agent.yaml', CONFIG)
    .action((flags: AgentFlags & { reason: string; by?: string }, self: Command) =>
      execute(self, (context) => mended(context, flags)),
    );
  agent
    .command('adopt')
    .description('keep what is live now as the release to go back to')
    .argument('<stream>')
    .option('--like <release>', 'whose targets are looked at: a release directory, or stream@version in the depot')
    .option('--config <file>', 'the site’s agent.yaml', CONFIG)
    .option('--var <name=value>', 'a variable of this site, where no fleet file is at hand; repeated', collect, [])
    .option('--dry-run', 'say what would be adopted, and adopt nothing')
    .action((stream: string, flags: AdoptFlags, self: Command) =>
      execute(self, (context) => adopt(context, stream, flags)),
    );
}

async function runAgent(context: Context, flags: AgentFlags & { observe?: boolean }): Promise<Answer> {
  const { runSiteAgent } = await import('../../worker/site.js');
  const observe = flags.observe === true;
  await runSiteAgent({ configPath: context.path(flags.config), temporal: context.temporalFlags(), observe });
  return done({ ended: true }, '');
}

async function configuration(context: Context, flags: AgentFlags): Promise<AgentFile> {
  const { loadAgent } = await import('../../records/files/agent-file.js');
  return (await loadAgent(context.path(flags.config))).agent;
}

/** The document is the agent's own status. Throws WorldError AGENT_NOT_RUNNING if none runs here. */
export async function agentStatus(context: Context, flags: StatusFlags): Promise<Answer> {
  const { site, data } = await configuration(context, flags);
  const { callAgent } = await import('../../site/local/client.js');
  if (flags.like === undefined) {
    const status = await callAgent(data, flags.drift === true ? 'drift' : 'status', {});
    return done(status, statusText(context, status));
  }
  const { stream, like } = await shownRelease(context, flags.like);
  const vars = { ...(await variablesOf(context, site)), ...writtenVariables(flags.var ?? []) };
  const status = await callAgent(data, 'drift', { like: { stream, like, vars } });
  return done(status, statusText(context, status));
}

/** The stream is the release's own. */
async function shownRelease(context: Context, written: string) {
  const path = context.path(written);
  if (!existsSync(path)) {
    const { stream } = releaseReference(written);
    return { stream, like: await modelOf(context, stream, written) };
  }
  const { packRelease } = await import('../../records/depot/pack-release.js');
  const { stream } = (await packRelease(path)).ref;
  return { stream, like: await modelOf(context, stream, written) };
}

/** Throws MistakeError STORAGE_FAULT with what is still wrong. */
async function mended(context: Context, flags: AgentFlags & { reason: string; by?: string }): Promise<Answer> {
  const { data } = await configuration(context, flags);
  const { callAgent } = await import('../../site/local/client.js');
  const answer = await callAgent(data, 'mended', { by: operatorName(flags.by, context.io.env), reason: flags.reason });
  return done(answer, `${answer.read} files and directories were read back, ${answer.healed} releases made anew`);
}

/** What is wrong with the disk, and how much room there is. */
function diskLines({ storage }: AgentStatus): string[] {
  if (storage === undefined) return [];
  const { fault, reserveWhole, freeBytes, damaged } = storage;
  return [
    ...(fault ? [`STORAGE_FAULT ${fault.detail}: foothold agent mended --reason … ends it`] : []),
    ...(reserveWhole ? [] : [`the reserve for an undo is not whole, ${freeBytes} bytes are free`]),
    ...damaged.map(({ stream, version, live, undo }) => {
      const what = undo === undefined ? '' : `what an undo of component ${undo} goes back to, of `;
      return `${what}${stream}@${version} is damaged${live ? ', and it is live' : ''}`;
    }),
  ];
}

function statusText(context: Context, status: AgentStatus): string {
  const now = context.io.now();
  const rows = Object.entries(status.streams).map(([name, stream]) => [
    name,
    stream.state,
    stream.live?.version ?? '-',
    stream.lkg?.version ?? '-',
    stream.pending?.version ?? '-',
    stream.checks.map((check) => `${check.name} ${checkWord(context, check)}${lastSampled(check, now)}`).join(', '),
  ]);
  const contact =
    status.lastContact === 0 ? 'the centre was never reached' : `last contact ${span(now - status.lastContact)} ago`;
  const blocks: [title: string, lines: string[]][] = [
    ['only observed: the agent changes nothing here', status.observing ? ['agent run --observe'] : []],
    ['held: nothing new is switched; an undo never waits', (status.holds ?? []).map(siteHoldLine)],
    ['safe mode', safeModeLines(status, now)],
    ['drift', Object.entries(status.streams).flatMap(([name, { drift }]) => driftLines(name, drift, now))],
    ['waits, staged', waitingStreams(status)],
    ['disk', diskLines(status)],
    ['sick', sickChecks(status, now)],
    [
      `quarantined (foothold allow RELEASE --site ${status.site} lifts it)`,
      status.quarantined.map((one) => `${one.stream}@${one.version} since ${clock(one.at, now)}: ${one.code}`),
    ],
  ];
  return [
    `${status.site}, agent ${status.agentVersion}, ${contact}, ${status.unacknowledged} events not recorded there yet${outboxWords(status)}`,
    linkText(context, status, now),
    table(['STREAM', 'STATE', 'LIVE', 'LAST KNOWN GOOD', 'PENDING', 'CHECKS'], rows).trimEnd() || 'no stream yet',
    ...blocks.filter(([, lines]) => lines.length > 0).map(([title, lines]) => `${title}\n${indent(lines.join('\n'))}`),
  ].join('\n');
}

/** Samples and log lines: what may be dropped, and is told of as a gap then. */
function outboxWords({ outbox }: AgentStatus): string {
  const entries = Object.values(outbox ?? {}).reduce((sum, one) => sum + one.entries, 0);
  return entries === 0 ? '' : `, ${entries} samples and log lines wait`;
}

function linkText(context: Context, { link }: AgentStatus, now: number): string {
  if (!link) return 'link not begun yet';
  const since = `since ${clock(link.since, now)}`;
  if (link.state === 'up') return `link up ${since}`;
  const tried = link.failures > 0 ? ` (${link.failures} attempts failed)` : '';
  return `${context.paint('yellow', 'link down')} ${since}${tried}${link.cause === undefined ? '' : `: ${harmless(link.cause)}`}`;
}

function checkWord(context: Context, check: CheckReport): string {
  if (check.healthy) return 'ok';
  return check.inconclusive ? context.paint('yellow', 'inconclusive') : context.paint('red', 'sick');
}

/** Empty while it is sampled: only then is its word one of now. */
function lastSampled({ sampledAt }: CheckReport, now: number): string {
  return sampledAt === undefined ? '' : ` ${span(now - sampledAt)} ago`;
}

function waitingStreams(status: AgentStatus): string[] {
  return Object.entries(status.streams).flatMap(([name, { waits }]) =>
    waits ? [`${name} ${waits.code}: ${harmless(waits.detail)}`] : [],
  );
}

function sickChecks(status: AgentStatus, now: number): string[] {
  return Object.entries(status.streams).flatMap(([name, stream]) =>
    stream.checks
      .filter((check) => !check.healthy)
      .map((check) => `${name} ${check.name} (${check.need})${lastSampled(check, now)}: ${harmless(check.detail)}`),
  );
}

/** `{ stream, version, digest }` of what was adopted. The release of `--like` only says where to look; it is not applied. */
export async function adopt(context: Context, stream: string, flags: AdoptFlags): Promise<Answer> {
  if (flags.like === undefined) {
    const message = `expected --like RELEASE, got none: the components of a release say where ${stream} lives at this site`;
    throw new MistakeError('BAD_ARGUMENT', message);
  }
  const { site, data } = await configuration(context, flags);
  const like = await modelOf(context, stream, flags.like);
  const vars = { ...(await variablesOf(context, site)), ...writtenVariables(flags.var) };
  if (flags.dryRun === true) {
    return done(
      { site, stream, like: flags.like, vars, dryRun: true },
      `would adopt what is live at ${site} where ${flags.like} would go`,
    );
  }
  const { callAgent } = await import('../../site/local/client.js');
  const adopted = await callAgent(data, 'adopt', { stream, like, vars });
  return done(adopted, `adopted ${adopted.stream}@${adopted.version}  ${adopted.digest}`);
}

/** A published release is fetched by the agent itself; a directory is read here, because only the caller sees it. */
async function modelOf(
  context: Context,
  stream: string,
  written: string,
): Promise<AgentMethods['adopt']['params']['like']> {
  const path = context.path(written);
  if (!existsSync(path)) {
    const reference = releaseReference(written);
    refuseOtherStream(stream, reference.stream);
    return { version: reference.version };
  }
  const { packRelease } = await import('../../records/depot/pack-release.js');
  const { ref, manifest, files } = await packRelease(path);
  refuseOtherStream(stream, ref.stream);
  const read = files.map(async ({ path: name, mode, source }) => ({
    path: name,
    mode,
    base64: await readFile(source, 'base64'),
  }));
  return { release: manifest.release, files: await Promise.all(read) };
}

function refuseOtherStream(stream: string, other: string): void {
  if (stream === other) return;
  throw new MistakeError('BAD_ARGUMENT', `expected a release of ${stream} with --like, got one of ${other}`);
}

/** The site's variables where a fleet file is at hand; at the site there is none, and `--var` says them. */
async function variablesOf(context: Context, site: string): Promise<Vars> {
  if (context.flags.fleet === undefined && context.projectPathIfAny() === undefined) return {};
  const { meantFleet } = await import('../inputs.js');
  const { sites } = await meantFleet(context);
  return sites.find((one) => one.id === site)?.vars ?? {};
}

function writtenVariables(terms: string[]): Vars {
  return Object.fromEntries(
    terms.map((term) => {
      const [, name, value] = /^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/s.exec(term) ?? [];
      if (name === undefined || value === undefined)
        throw new MistakeError('BAD_ARGUMENT', `expected --var name=value, got ${term}`);
      return [name, asWritten(value)];
    }),
  );
}

function asWritten(value: string): Vars[string] {
  if (value === 'true' || value === 'false') return value === 'true';
  return /^-?(0|[1-9]\d*)(\.\d+)?$/.test(value) ? Number(value) : value;
}
