import { generateKeyPairSync } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { Agent } from '../../site/agent.js';
import { openAgent } from '../../site/open-agent.js';
import { emptyDirectory, foothold, json } from './operator.js';
import { testProject } from './project.js';

const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const agents: Agent[] = [];
afterEach(async () => {
  for (const agent of agents.splice(0)) await agent.stop();
});

interface Site {
  directory: string;
  config: string;
  run(): Promise<void>;
}

/** A site with its own configuration; `run` starts the real agent in this process, with its socket and no link. */
async function siteNamed(site: string): Promise<Site> {
  const directory = await emptyDirectory();
  const controlKeysPem = [generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }).toString()];
  const config = join(directory, 'agent.yaml');
  await writeFile(join(directory, 'control.pub'), controlKeysPem[0] ?? '');
  await writeFile(
    config,
    `apiVersion: foothold/v1\nkind: Agent\nsite: ${site}\ndata: data\ncontrolKeys: [control.pub]\ndepot: http://127.0.0.1:1/\n`,
  );
  const run = async (): Promise<void> => {
    const depot = 'http://127.0.0.1:1/';
    const agent = await openAgent({ site, dataDirectory: join(directory, 'data'), controlKeysPem, depot, log: silent });
    agents.push(agent);
    await agent.start();
    await agent.serveLocal();
  };
  return { directory, config, run };
}

describe('the agent of this machine', () => {
  test('none runs: the world’s fault, with how to start it', async () => {
    const site = await siteNamed('osl-01');
    const said = await foothold(site.directory, ['agent', 'status']);
    expect([said.exit, said.err]).toEqual([
      3,
      expect.stringMatching(/^error AGENT_NOT_RUNNING: [^]*foothold agent run/),
    ]);
    const elsewhere = await foothold(await emptyDirectory(), ['agent', 'status']);
    expect([elsewhere.exit, elsewhere.err]).toEqual([2, expect.stringContaining('FILE_NOT_FOUND')]);
  });

  test('[A55] status answers with no network at all', async () => {
    const site = await siteNamed('osl-01');
    await site.run();
    const said = await foothold(site.directory, ['agent', 'status']);
    expect(said.exit).toBe(0);
    expect(said.out).toMatch(
      /^osl-01, agent \S+, the centre was never reached, \d+ events not recorded there yet\nlink not begun yet\nno stream yet/,
    );
    expect(json(await foothold(site.directory, ['agent', 'status', '--json']))).toMatchObject({
      site: 'osl-01',
      epoch: 1,
    });
  });

  test('adopt keeps what is live, with the variables of the fleet, --var or neither', async () => {
    const project = await testProject();
    const site = await siteNamed('osl-01');
    await site.run();
    const target = join(site.directory, 'live');
    await mkdir(target);
    await writeFile(join(target, 'main.conf'), 'as it was\n');
    const path = await project.release('2.4.0');
    const file = join(path, 'release.yaml');
    const written = (await readFile(file, 'utf8')).replace('/srv/edge-proxy', '"{{dir}}/live"');
    await writeFile(file, written.replace('{ workers: integer }', '{ workers: integer, dir: string }'));
    const adopt = (...more: string[]) =>
      foothold(site.directory, ['agent', 'adopt', 'edge-proxy', '--like', path, '--fleet', project.fleet, ...more]);

    const without = await adopt();
    expect([without.exit, without.err]).toEqual([2, expect.stringContaining('dir')]);
    const dry = await adopt('--var', `dir=${site.directory}`, '--dry-run', '--json');
    expect(json(dry)).toMatchObject({ vars: { workers: 2, dir: site.directory }, dryRun: true });
    const adopted = await adopt('--var', `dir=${site.directory}`, '--json');
    expect([adopted.exit, json(adopted)]).toMatchObject([
      0,
      { stream: 'edge-proxy', version: expect.stringMatching(/^0\.0\.0-adopted\+/) as string },
    ]);
    expect(await readFile(join(target, 'main.conf'), 'utf8')).toBe('as it was\n');
    const status = await foothold(site.directory, ['agent', 'status']);
    expect(status.out).toMatch(/edge-proxy +confirmed +0\.0\.0-adopted\+/);
  });

  test.each([
    [['edge-proxy'], 'expected --like RELEASE'],
    [['edge-proxy', '--like', 'relay@1.0.0'], 'expected a release of edge-proxy'],
    [['edge-proxy', '--like', 'nowhere'], 'stream@version or as a directory'],
    [['edge-proxy', '--like', 'edge-proxy@1.0.0', '--var', 'x'], 'expected --var name=value'],
  ])('adopt %j is a mistake', async (argv, message) => {
    const site = await siteNamed('osl-01');
    const said = await foothold(site.directory, ['agent', 'adopt', ...argv]);
    expect([said.exit, said.err]).toEqual([2, expect.stringContaining(message)]);
  });
});
