/** `plan`: which site in which wave of which stage, and what stands against it. Changes nothing. */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { WorldError } from '../../policies/model/failure.js';
import { EXIT, type Answer } from '../answer.js';
import type { Context } from '../context.js';
import type { Execute } from '../execute.js';
import { judgePlan } from '../judge-plan.js';
import type { PlanRequest } from '../plan-file.js';
import { planDocument, planText } from '../render/plan.js';
import { collect } from '../repeated.js';

export interface PlanFlags {
  only?: string[];
  output?: string;
}

export function declarePlan(program: Command, execute: Execute): void {
  program
    .command('plan')
    .description('which site in which wave of which stage, and what stands against it')
    .argument('<release>', 'stream@version in the depot, or a release directory')
    .argument('<strategy>', 'a name, or a file')
    .option('--only <selector>', 'key=value[,value]; repeated: and', collect, [])
    .option('-o, --output <file>', 'write the plan there as well, for foothold start --plan')
    .action((release: string, strategy: string, flags: PlanFlags, self: Command) =>
      execute(self, (context) => plan(context, release, strategy, flags)),
    );
}

/** The document of design §7; exit code 1 if preflight blocks. */
export async function plan(context: Context, release: string, strategy: string, flags: PlanFlags): Promise<Answer> {
  const judged = await judgePlan(context, release, strategy, flags.only ?? []);
  const document = planDocument(judged.frozen.plan, judged.findings);
  const path = flags.output === undefined ? undefined : context.path(flags.output);
  const replaces = path !== undefined && existsSync(path);
  if (path !== undefined) {
    const request = requestOf(context, release, strategy, flags.only ?? []);
    await write(path, { ...document, request, plan: judged.frozen.plan });
  }
  const basis =
    judged.judgedBy === 'declarations'
      ? 'sites count as reporting what the fleet file declares: no registry here\n'
      : '';
  const written =
    path === undefined ? '' : `wrote the plan to ${path}${replaces ? ', over the one that was there' : ''}\n`;
  const text = `${planText(judged.frozen.plan, judged.findings, context.paint)}${basis}${written}`;
  return { exit: judged.blocked ? EXIT.no : EXIT.done, document, text };
}

/** What `start --plan` plans again; files are named so that they are found from anywhere. */
function requestOf(context: Context, release: string, strategy: string, only: string[]): PlanRequest {
  const named = (written: string): string => (existsSync(context.path(written)) ? context.path(written) : written);
  const { fleet } = context.flags;
  return {
    release: named(release),
    strategy: /[/\\]|\.(ya?ml|json)$/.test(strategy) ? context.path(strategy) : strategy,
    only,
    ...(fleet === undefined ? {} : { fleet: context.path(fleet) }),
  };
}

async function write(path: string, document: unknown): Promise<void> {
  try {
    await writeFile(path, `${JSON.stringify(document, undefined, 2)}\n`);
  } catch (error) {
    throw new WorldError('FILE_NOT_WRITTEN', `expected to write the plan to ${path}, could not`, { cause: error });
  }
}
