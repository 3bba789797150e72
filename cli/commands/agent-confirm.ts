/** `agent confirm`: a person at the site answers a `person` check of the release on trial; no network. */
import type { Command } from 'commander';
import { done, type Answer } from '../answer.js';
import type { Context } from '../context.js';
import type { Execute } from '../execute.js';
import { requireReason, operatorName } from '../operator.js';

export interface AgentConfirmFlags {
  config: string;
  check?: string;
  by?: string;
  reason?: string;
  dryRun?: boolean;
}

export function declareAgentConfirm(agent: Command, execute: Execute): void {
  agent
    .command('confirm')
    .description('answer a `person` check of the release that is being watched here')
    .argument('<stream>')
    .option('--check <name>', 'which one, where several are open')
    .option('--reason <why>', 'what was seen; kept in the journal; required')
    .option('--by <name>', 'who answers (default: FOOTHOLD_BY, else user@host)')
    .option('--config <file>', 'the site’s agent.yaml', 'agent.yaml')
    .option('--dry-run', 'say what would be answered, and answer nothing')
    .action((stream: string, flags: AgentConfirmFlags, self: Command) =>
      execute(self, (context) => confirmHere(context, stream, flags)),
    );
}

/** `{ stream, check, question }` as answered. Throws WorldError AGENT_NOT_RUNNING, MistakeError CHECK_NOT_ASKED. */
export async function confirmHere(context: Context, stream: string, flags: AgentConfirmFlags): Promise<Answer> {
  const reason = requireReason(flags.reason, 'agent confirm');
  const by = operatorName(flags.by, context.io.env);
  const { loadAgent } = await import('../../records/files/agent-file.js');
  const { data } = (await loadAgent(context.path(flags.config))).agent;
  const params = { stream, by, reason, ...(flags.check === undefined ? {} : { check: flags.check }) };
  if (flags.dryRun === true) return done({ ...params, dryRun: true }, `would confirm for ${stream}, as ${by}`);
  const { callAgent } = await import('../../site/local/client.js');
  const answered = await callAgent(data, 'confirm', params);
  return done(answered, `confirmed ${answered.stream} ${answered.check} as ${by}: ${answered.question}`);
}
