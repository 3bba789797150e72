/** `agent enrol`: takes a token in, at the site, without any network. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { MistakeError } from '../../policies/model/failure.js';
import { done, type Answer } from '../answer.js';
import type { Context } from '../context.js';
import type { Execute } from '../execute.js';
import { indent } from '../render/table.js';

export interface AgentEnrolFlags {
  config: string;
  data?: string;
  trustKey?: string;
  dryRun?: boolean;
}

export function declareAgentEnrol(agent: Command, execute: Execute): void {
  agent
    .command('enrol')
    .description('make this the agent of the site that a token names; no network, and no agent running here')
    .argument('<token-file>', 'as foothold fleet enrol or replace wrote it')
    .option('--config <file>', 'the site’s agent.yaml; written if it is not there', 'agent.yaml')
    .option('--data <dir>', 'the data directory, where there is no agent.yaml yet')
    .option('--trust-key <id>', 'trust the token because of this key of it, whatever was trusted so far')
    .option('--dry-run', 'say what would be done, and change nothing')
    .action((file: string, flags: AgentEnrolFlags, self: Command) =>
      execute(self, (context) => enrolHere(context, file, flags)),
    );
}

/** The document is `Enrolled` of site/local/enrol.ts. */
export async function enrolHere(context: Context, file: string, flags: AgentEnrolFlags): Promise<Answer> {
  const configPath = context.path(flags.config);
  const { enrolSite } = await import('../../site/local/enrol.js');
  const enrolled = await enrolSite({
    token: await tokenIn(context.path(file)),
    configPath,
    ...(existsSync(configPath) ? { config: await configIn(configPath) } : {}),
    ...(flags.data === undefined ? {} : { data: context.path(flags.data) }),
    ...(flags.trustKey === undefined ? {} : { trustKey: flags.trustKey }),
    dryRun: flags.dryRun === true,
    now: context.io.now(),
  });
  const { site, epoch, keyset, data, written, how } = enrolled;
  const is = how === 'already' ? 'is enrolled already with this token as' : 'is enrolled as';
  const head = enrolled.dryRun ? 'would be enrolled as' : is;
  const lines = [
    `${data} ${head} ${site}, epoch ${epoch}`,
    `it trusts keyset ${keyset.version}: ${keyset.ids.join(', ')}; compare with foothold keys status at the centre`,
    ...(written.length === 0 ? [] : [`${enrolled.dryRun ? 'would write' : 'wrote'}\n${indent(written.join('\n'))}`]),
    `next: foothold agent run --config ${configPath}`,
  ];
  return done(enrolled, lines.join('\n'));
}

async function tokenIn(path: string): Promise<unknown> {
  if (!existsSync(path))
    throw new MistakeError('FILE_NOT_FOUND', `expected an enrolment token at ${path}, there is none`);
  try {
    return JSON.parse(await readFile(path, 'utf8')) as unknown;
  } catch {
    throw new MistakeError(
      'ENROLMENT_INVALID',
      `expected an enrolment token at ${path}, got something that is no JSON`,
    );
  }
}

async function configIn(path: string): Promise<{ site: string; data: string; controlKeysPem: string[] }> {
  const { loadAgent } = await import('../../records/files/agent-file.js');
  const { agent, controlKeysPem } = await loadAgent(path);
  return { site: agent.site, data: agent.data, controlKeysPem };
}
