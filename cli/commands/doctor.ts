/** `doctor`: what is missing here, and how to mend it. Changes nothing without `--fix`. */
import type { Command } from 'commander';
import { EXIT, type Answer } from '../answer.js';
import type { Context } from '../context.js';
import type { Examined } from '../doctor/examined.js';
import {
  probeControlKey,
  probeDepotDirectory,
  probeFiles,
  probeNode,
  probePrograms,
  probeRegistry,
} from '../doctor/machine.js';
import { probeDepotReading, probePrometheus } from '../doctor/servers.js';
import { probeTemporal } from '../doctor/temporal.js';
import type { Execute } from '../execute.js';
import type { Colour } from '../render/paint.js';

export function declareDoctor(program: Command, execute: Execute): void {
  program
    .command('doctor')
    .description('what is missing here, and how to mend it')
    .option('--fix', 'add the namespace and the search attributes to Temporal if they are missing')
    .action((flags: { fix?: boolean }, self: Command) =>
      execute(self, (context) => doctor(context, flags.fix === true)),
    );
}

/** `{ healthy, checks: [{ what, result, detail, mend? }] }`; exit code 1 if something is missing. */
export async function doctor(context: Context, fix: boolean): Promise<Answer> {
  const checks = await lookAtEverything(context, fix);
  const healthy = checks.every((one) => one.result !== 'missing');
  const text = checks.map((one) => line(context, one)).join('\n');
  return { exit: healthy ? EXIT.done : EXIT.no, document: { healthy, checks }, text };
}

async function lookAtEverything(context: Context, fix: boolean): Promise<Examined[]> {
  const here = [...probeNode(), ...(await probeFiles(context))];
  const temporal = await probeTemporal(context, fix);
  const programs = await probePrograms();
  if (here.some((one) => one.what === 'project' && one.result === 'missing'))
    return [...here, ...temporal, ...programs];
  const project = await context.project();
  return [
    ...here,
    ...(await probeControlKey(project.controlKey, async () => (await context.registryIfHere())?.controlKeys())),
    ...(await probeRegistry(context)),
    ...(await probeDepotDirectory(project.depot.write)),
    ...(await probeDepotReading(context)),
    ...(await probePrometheus(context)),
    ...temporal,
    ...programs,
  ];
}

const COLOUR: Record<Examined['result'], Colour> = { ok: 'green', mended: 'green', warn: 'yellow', missing: 'red' };

function line(context: Context, { what, result, detail, mend }: Examined): string {
  const first = `${context.paint(COLOUR[result], result.padEnd(7))}  ${what.padEnd(18)} ${detail}`;
  return mend === undefined || result === 'ok' ? first : `${first}\n${' '.repeat(9)}mend: ${mend}`;
}
