/** What §6 asks of a release beyond its shape. Pure: the loader adds positions, the agent repeats it on a manifest. */
import { parse, validRange } from 'semver';
import { checkKindFaults } from './check-rules.js';
import { formatDuration } from './duration.js';
import { repeatedNames, type Fault } from './fault.js';
import type { ReleaseFile } from './release.js';

/** Agents name what they adopted so: a published release of that name would pass for it. */
const ADOPTED = /^0\.0\.0-adopted\b/;

export function releaseFaults(file: ReleaseFile): Fault[] {
  return [
    ...versionFaults(file),
    ...rangeFaults(file),
    ...componentFaults(file),
    ...checkFaults(file),
    ...confirmFaults(file),
    ...driftFaults(file),
  ];
}

function versionFaults({ version }: ReleaseFile): Fault[] {
  const path = ['version'];
  // semver also takes `v1.2.3` and ` =1.2.3`: names of a release that would be one version with several spellings
  if (!/^\d/.test(version) || parse(version)?.raw !== version) {
    return [{ path, message: `expected a semver version such as 2.4.0, found \`${version}\`` }];
  }
  if (ADOPTED.test(version)) return [{ path, message: 'expected another version: agents name what they adopt so' }];
  return [];
}

function rangeFaults(file: ReleaseFile): Fault[] {
  return (['requires', 'conflicts'] as const).flatMap((key) =>
    Object.entries(file[key])
      .filter(([, range]) => validRange(range) === null)
      .map(([name, range]) => ({
        path: [key, name],
        message: `expected a semver range such as ">=3.2 <5", found \`${range}\``,
      })),
  );
}

function componentFaults({ components, driver }: ReleaseFile): Fault[] {
  if (components && driver) {
    return [{ path: ['driver'], on: 'key', message: 'expected either `components` or `driver`, found both' }];
  }
  if (!components && !driver) {
    return [{ path: [], message: 'expected `components`, or `driver` for a single one, found neither' }];
  }
  const names = (components ?? []).map((component) => component.name);
  return repeatedNames('the component', names, (i) => ['components', i, 'name']);
}

function checkFaults({ checks, because, confirm }: ReleaseFile): Fault[] {
  if (checks === 'none') {
    if (because !== undefined) return [];
    return [{ path: ['checks'], on: 'key', message: '`checks: none` needs `because:` with the reason for it' }];
  }
  const names = checks.map((check) => check.name);
  const repeated = [
    ...repeatedNames('the check', names, (i) => ['checks', i, 'name']),
    ...checks.flatMap((check, i) => checkKindFaults(check, ['checks', i], confirm)),
  ];
  if (checks.some((check) => check.need === 'required')) return repeated;
  const message =
    'expected at least one check with `need: required`, or `checks: none` with `because:`; wanted checks decide nothing';
  return [...repeated, { path: ['checks'], on: 'key', message }];
}

function confirmFaults({ confirm }: ReleaseFile): Fault[] {
  if (confirm.healthyFor <= confirm.within) return [];
  const limits = `${formatDuration(confirm.healthyFor)} exceeds within: ${formatDuration(confirm.within)}`;
  const message = `expected healthyFor at most within, both count from the switch: healthyFor: ${limits}`;
  return [{ path: ['confirm', 'healthyFor'], message }];
}

function driftFaults({ drift = [], components }: ReleaseFile): Fault[] {
  const names = components?.map(({ name }) => name) ?? ['main'];
  return drift.flatMap(({ paths, component }, i) => [
    ...(component === undefined || names.includes(component)
      ? []
      : [
          {
            path: ['drift', i, 'component'],
            message: `expected a component of the release (${names.join(', ')}), found \`${component}\``,
          },
        ]),
    ...paths.flatMap((path, j) =>
      isBelow(path) ? [] : [{ path: ['drift', i, 'paths', j], message: belowText(path) }],
    ),
  ]);
}

/** The target itself is `.`; a path that could never be found there would be a rule that does nothing. */
function isBelow(path: string): boolean {
  if (path === '.') return true;
  return path.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
}

function belowText(path: string): string {
  return `expected a path below the target such as \`cache/**\`, without \`/\` before or behind it, found \`${path}\``;
}
