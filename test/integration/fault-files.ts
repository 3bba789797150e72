/** The files of a fault stage: a release of two components, a strategy without a gate, an agent. */

export const FAULT_STREAM = 'relay';

export interface ReleaseShape {
  version: string;
  /** From the switch; long enough for a test to break something meanwhile. */
  healthyFor?: string;
  /** Anything without the word `healthy` fails the release's check. */
  page?: string;
}

/** A directory, and a legacy controller that keeps a list of what it was told to load. */
export function releaseFiles({ version, healthyFor = '1s', page = 'healthy' }: ReleaseShape): Record<string, string> {
  return {
    'files/page': `${page} ${version}\n`,
    'controller/state': `${version}\n`,
    'release.yaml': `apiVersion: foothold/v1
kind: Release
stream: ${FAULT_STREAM}
version: ${version}
vars: { dir: string }
components:
  - { name: page, driver: { type: directory, files: ./files, target: "{{dir}}/live" } }
  - name: controller
    driver:
      type: exec
      files: ./controller
      save: [sh, -c, 'cp {{dir}}/controller "$FOOTHOLD_SAVED"']
      apply: [sh, -c, 'cat state >> {{dir}}/loads && cp state {{dir}}/controller']
      verify: [cmp, -s, state, "{{dir}}/controller"]
      revert: [sh, -c, 'cp "$FOOTHOLD_SAVED" {{dir}}/controller']
checks:
  - { name: healthy, exec: [grep, -q, healthy, "{{dir}}/live/page"], every: 500ms, failures: 2 }
  - { name: tolerated, exec: [sh, -c, '! grep -qx ${version} {{dir}}/ill'], every: 500ms, failures: 2 }
confirm: { within: 50s, healthyFor: ${healthyFor} }
watchFor: 0s
`,
  };
}

/** One site, then the others together; `stages` replaces both. */
export function strategyFile(name: string, stages?: string): string {
  return `apiVersion: foothold/v1
kind: Strategy
name: ${name}
owner: on-call
defaults: { gate: none, because: the faults are not in the metrics, soak: 1s, budget: { failed: 0, owed: 0 } }
${stages ?? 'stages: [{ name: canary, select: { risk: low } }, { name: rest }]'}
onInconclusive: { within: 10m, then: stay }
`;
}

export function agentFile(of: { site: string; directory: string; control: string; depot: string }): string {
  return `apiVersion: foothold/v1
kind: Agent
site: ${of.site}
data: ${of.directory}/data
controlKeys: [${of.control}]
depot: ${of.depot}
`;
}

/** The same stages behind a gate, which waits `within` for a person when it cannot be judged. */
export function blindStrategy(name: string, within: string): string {
  return `apiVersion: foothold/v1
kind: Strategy
name: ${name}
owner: on-call
defaults: { gate: health, soak: 2s, budget: { failed: 0, owed: 0 } }
stages: [{ name: canary, select: { risk: low } }, { name: rest }]
onInconclusive: { within: ${within}, then: stay }
gates:
  health:
    metrics:
      - { name: errors, window: 1s, interval: 1s, query: 'sum(rate(errors_total{site=~"$sites"}[$window]))', pass: result < 1, consecutiveErrorLimit: 1 }
`;
}
