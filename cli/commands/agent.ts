/** `agent run|status|adopt`: at the site. Only `run` knows a network; the others speak to the agent on its own machine. */
import type { Command } from 'commander';
import { MistakeError } from '../../policies/model/failure.js';
import type { AgentFile } from '../../policies/model/project.js';
import type { SiteReport } from '../../policies/model/report.js';
import { done, type Answer } from '../answer.js';
import type { Context } from '../context.js';
import type { Execute } from '../execute.js';
import { harmless } from '../render/paint.js';
import { table } from '../render/table.js';
import { clock } from '../render/times.js';
import { meantRelease } from '../inputs.js';
import { notAvailable } from './later.js';

const CONFIG = 'agent.yaml';

interface AgentFlags {
  config: string;
}

export function declareAgent(program: Command, execute: Execute): void {
  const agent = program.command('agent').description('the agent of a site, at the site');
  agent
    .command('run')
    .description('guard this site and carry out commands, until interrupted')
    .option('--config <file>', 'the site’s agent.yaml', CONFIG)
    .option('--observe', 'not available yet')
    .action((flags: AgentFlags & { observe?: boolean }, self: Command) =>
      execute(self, (context) =>
        flags.observe === true ? notAvailable('foothold agent run --observe') : runAgent(context, flags),
      ),
    );
  agent
    .command('status')
    .description('what this site runs, and what its checks say')
    .option('--config <file>', 'the site’s agent.yaml', CONFIG)
    .action((flags: AgentFlags, self: Command) => execute(self, (context) => agentStatus(context, flags)));
  agent
    .command('adopt')
    .description('keep what is live now as the release to go back to')
    .argument('<stream>')
    .option('--like <release>', 'whose targets are looked at: a release directory, or stream@version in the depot')
    .option('--config <file>', 'the site’s agent.yaml', CONFIG)
    .option('--dry-run', 'say what would be adopted, and adopt nothing')
    .action((stream: string, flags: AgentFlags & { like?: string; dryRun?: boolean }, self: Command) =>
      execute(self, (context) => adopt(context, stream, flags)),
    );
}

async function runAgent(context: Context, flags: AgentFlags): Promise<Answer> {
  const { runSiteAgent } = await import('../../worker/site.js');
  await runSiteAgent({ configPath: context.path(flags.config), temporal: context.temporalFlags() });
  return done({ ended: true }, '');
}

async function configuration(context: Context, flags: AgentFlags): Promise<AgentFile> {
  const { loadAgent } = await import('../../records/files/agent-file.js');
  return (await loadAgent(context.path(flags.config))).agent;
}

/** `{ site, report }`: what the agent says of itself. Throws WorldError if none runs here. */
export async function agentStatus(context: Context, flags: AgentFlags): Promise<Answer> {
  const { site, data } = await configuration(context, flags);
  const { callAgent } = await import('../../site/local/call.js');
  const report = (await callAgent(data, 'report', {})) as SiteReport;
  return done({ site, report }, reportText(context, report));
}

function reportText(context: Context, report: SiteReport): string {
  const now = context.io.now();
  const streams = Object.entries(report.streams).map(([name, stream]) => [
    name,
    stream.state,
    stream.live?.version ?? '-',
    stream.lkg?.version ?? '-',
    stream.pending?.version ?? '-',
    stream.checks.map((check) => `${check.name} ${check.healthy ? 'ok' : context.paint('red', 'sick')}`).join(', '),
  ]);
  const sick = Object.entries(report.streams).flatMap(([name, stream]) =>
    stream.checks
      .filter((check) => !check.healthy)
      .map((check) => `${name} ${check.name} (${check.need}): ${harmless(check.detail)}`),
  );
  const quarantined = report.quarantined.map(
    (one) => `${one.stream}@${one.version} since ${clock(one.at, now)}: ${one.code}`,
  );
  return [
    `${report.site}, agent ${report.agentVersion}, ${report.sequence} events journaled (epoch ${report.epoch})`,
    table(['STREAM', 'STATE', 'LIVE', 'LAST KNOWN GOOD', 'PENDING', 'CHECKS'], streams).trimEnd() || 'no stream yet',
    ...(sick.length === 0 ? [] : [`sick\n  ${sick.join('\n  ')}`]),
    ...(quarantined.length === 0
      ? []
      : [`quarantined (foothold allow … --site ${report.site})\n  ${quarantined.join('\n  ')}`]),
  ].join('\n');
}

/** `{ stream, adopted: { version, digest } }`. The release of `--like` only says where to look: it is not applied. */
export async function adopt(
  context: Context,
  stream: string,
  flags: AgentFlags & { like?: string; dryRun?: boolean },
): Promise<Answer> {
  const { site, data, depot } = await configuration(context, flags);
  if (flags.like === undefined) {
    throw new MistakeError(
      'BAD_ARGUMENT',
      `expected --like RELEASE: its components say where ${stream} lives at this site`,
    );
  }
  const { ref } = await meantRelease(context, flags.like, depot);
  if (ref.stream !== stream) {
    throw new MistakeError('BAD_ARGUMENT', `expected a release of ${stream} with --like, got one of ${ref.stream}`);
  }
  if (flags.dryRun === true)
    return done({ site, stream, like: ref, dryRun: true }, `would adopt what is live where ${flags.like} would go`);
  const { callAgent } = await import('../../site/local/call.js');
  const adopted = (await callAgent(data, 'adopt', { stream })) as { version: string; digest: string };
  return done({ site, stream, adopted }, `adopted ${stream}@${adopted.version}  ${adopted.digest}`);
}
