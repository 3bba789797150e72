/**
 * `npm run demo`: three rollouts on real parts. A good release; one that only metrics can see; one that breaks a site
 * while its link is cut. Exit code 0 only if each ended as it must.
 */
import { readFileSync, rmSync } from 'node:fs';
import { stopEverything } from '../../infra/dev/process.js';
import { playAct } from './act.js';
import { cutLinkOf } from './cut.js';
import { judgeCaught, judgeCutLink, judgePromoted, type ActThree } from './judge.js';
import { readOptions, USAGE, type DemoOptions } from './options.js';
import { openWorkplace } from './places.js';
import { adoptEverywhere, prepareWorld } from './prepare.js';
import { CONTROLLER_MEMORY, releaseDirectory } from './project.js';
import { Stack } from './stack.js';
import { documentOf, printSummary, type DemoResult } from './summary.js';
import { recordActs } from './record.js';
import { openTranscript, type Transcript } from './transcript.js';
import { siteOf, type World } from './world.js';

const CANARY = ['cgn-01', 'osl-01'];
const BEHIND_CUT_LINK = 'osl-01';
const REVERTING = ['cgn-01', 'osl-01', 'rix-01'];
const DOWN = 'zrh-01';

async function playDemo(stack: Stack, transcript: Transcript, record?: string): Promise<DemoResult> {
  transcript.title('Twelve sites in four regions run edge-proxy 2.3.0, which nobody ever rolled out with Foothold');
  const world = await prepareWorld(stack, transcript);
  await adoptEverywhere(world, releaseDirectory(stack.workplace, '2.3.0'));

  const good = await playGood(world);
  const caught = await playCaught(world);
  const cut = await playCutLink(world);
  if (record !== undefined) await recordActs(world, record, [good, caught, cut.record]);
  const differences = [
    ...judgePromoted(good, '2.4.0'),
    ...judgeCaught(caught, CANARY, '2.4.0'),
    ...judgeCutLink(cut, '2.4.0'),
  ];
  return { acts: [good, caught, cut.record], offline: cut.offline, differences, addresses: addressesOf(world) };
}

async function playGood(world: World) {
  world.transcript.title('Act 1: edge-proxy 2.4.0 is good');
  const { record } = await playAct(world, { version: '2.4.0', strategy: 'careful' }, async () => undefined);
  return record;
}

async function playCaught(world: World) {
  world.transcript.title('Act 2: edge-proxy 2.5.0 fails 6 % of the requests, and no check at a site can see it');
  const { record } = await playAct(world, { version: '2.5.0', strategy: 'careful' }, async () => undefined);
  return record;
}

async function playCutLink(world: World): Promise<ActThree> {
  world.transcript.title(
    `Act 3: edge-proxy 2.6.0 breaks every site; the link of ${BEHIND_CUT_LINK} is cut, ${DOWN} is down`,
  );
  await world.agents.get(DOWN)?.stop();
  const { record, meanwhile } = await playAct(world, { version: '2.6.0', strategy: 'patient' }, () =>
    cutLinkOf(world, BEHIND_CUT_LINK, '2.6.0'),
  );
  const controllers = REVERTING.map((id) => [id, readFileSync(siteOf(world, id).controller, 'utf8')] as const);
  return {
    record,
    offline: meanwhile,
    reverting: REVERTING,
    down: DOWN,
    controllers: Object.fromEntries(controllers),
    memory: CONTROLLER_MEMORY,
  };
}

function addressesOf({ centre }: World): DemoResult['addresses'] {
  const { address, uiUrl = '' } = centre.temporal;
  return { temporal: address, temporalUi: uiUrl, prometheus: centre.prometheus.url };
}

async function main(options: DemoOptions): Promise<number> {
  const transcript = openTranscript(options.json ? process.stderr : process.stdout);
  const stack = new Stack(openWorkplace());
  const interrupted = interruption();
  try {
    const result = await Promise.race([playDemo(stack, transcript, options.record), interrupted]);
    if (result === 'interrupted') return await interruptedEarly(stack, transcript);
    printSummary(transcript, result);
    if (options.json) process.stdout.write(`${JSON.stringify(documentOf(result), null, 2)}\n`);
    if (options.keep) await keepRunning(result, transcript, interrupted);
    const ok = result.differences.length === 0;
    await end(stack, transcript, ok);
    return ok ? 0 : 1;
  } catch (error) {
    transcript.line(error instanceof Error ? error.message : String(error), 'bad');
    await end(stack, transcript, false);
    return 1;
  }
}

async function interruptedEarly(stack: Stack, transcript: Transcript): Promise<number> {
  transcript.line('interrupted: everything is being stopped', 'bad');
  await end(stack, transcript, true);
  return 130;
}

/** In order, then whatever was still being started. Files stay only where somebody has to look at them. */
async function end(stack: Stack, transcript: Transcript, removeFiles: boolean): Promise<void> {
  await stack.stop();
  await stopEverything();
  const { root } = stack.workplace;
  if (removeFiles) rmSync(root, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  else transcript.block(`  logs and data: ${root}`);
}

async function keepRunning(result: DemoResult, transcript: Transcript, interrupted: Promise<unknown>): Promise<void> {
  const { temporal, temporalUi, prometheus } = result.addresses;
  transcript.block(`\n  Temporal UI  ${temporalUi}\n  Temporal     ${temporal}\n  Prometheus   ${prometheus}`);
  transcript.block('  Everything keeps running. Ctrl-C ends it.');
  await interrupted;
}

function interruption(): Promise<'interrupted'> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => resolve('interrupted'));
  });
}

function optionsOrUsage(): DemoOptions | undefined {
  try {
    return readOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
    return undefined;
  }
}

const options = optionsOrUsage();
// Not `exitCode`: after an interruption, something half started must not keep the process.
process.exit(options ? await main(options) : 2);
