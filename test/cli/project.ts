/** A small project on disk: six sites, one strategy without a gate's server, releases of one file. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { emptyDirectory, foothold } from './operator.js';

const FLEET = `apiVersion: foothold/v1
kind: Fleet
defaults: { streams: [edge-proxy], link: fibre, vars: { workers: 2 } }
sites:
  - { id: osl-01, region: nordic, risk: low, versions: { firmware: 3.4.1 } }
  - { id: osl-02, region: nordic, risk: medium, versions: { firmware: 3.4.1 } }
  - { id: osl-03, region: nordic, risk: medium, versions: { firmware: 2.0.0 } }
  - { id: rig-01, region: baltic, versions: { firmware: 3.4.1 } }
  - { id: rig-02, region: baltic, state: maintenance }
  - { id: hub-01, streams: [psk] }
`;

const STRATEGY = `apiVersion: foothold/v1
kind: Strategy
name: steps
owner: grid-duty
defaults: { gate: none, because: nothing to measure in this test, soak: 0s, budget: { failed: 1, owed: 1 } }
stages:
  - { name: canary, select: { risk: low } }
  - { name: rest, waves: [1, 100%] }
`;

export interface TestProject {
  directory: string;
  fleet: string;
  /** A release directory of this version; `requires` is YAML of the release file. */
  release(version: string, more?: string): Promise<string>;
}

export async function testProject(at?: string): Promise<TestProject> {
  const directory = at ?? (await emptyDirectory());
  await foothold(directory, ['init']);
  await writeFile(join(directory, 'fleet.yaml'), FLEET);
  await writeFile(join(directory, 'strategies/steps.yaml'), STRATEGY);
  return {
    directory,
    fleet: join(directory, 'fleet.yaml'),
    release: (version, more) => release(directory, version, more),
  };
}

async function release(directory: string, version: string, more = ''): Promise<string> {
  const path = join(directory, `edge-proxy-${version}`);
  await mkdir(join(path, 'files'), { recursive: true });
  await writeFile(join(path, 'files', 'main.conf'), `workers {{workers}} version ${version}\n`);
  await writeFile(
    join(path, 'release.yaml'),
    `apiVersion: foothold/v1
kind: Release
stream: edge-proxy
version: ${version}
vars: { workers: integer }
${more}
driver: { type: directory, files: ./files, templates: ["*.conf"], target: /srv/edge-proxy }
checks: [{ name: answers, tcp: "127.0.0.1:1" }]
watchFor: 0s
`,
  );
  return path;
}
