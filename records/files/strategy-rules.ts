/** What §6 asks of a strategy beyond its shape, as far as no fleet is needed. Pure. */
import { RISKS } from '../../policies/model/fleet.js';
import { formatDuration } from '../../policies/model/duration.js';
import { repeatedNames, type Fault, type Path } from '../../policies/model/fault.js';
import { samplesInSoak } from '../../policies/gate/schedule.js';
import { nearestName } from '../../policies/model/nearest.js';
import { stageSettings, type Metric, type Share, type Stage, type Strategy } from '../../policies/model/strategy.js';
import { metricFaults } from './metric-rules.js';

export function strategyFaults(strategy: Strategy): Fault[] {
  return [
    ...repeatedStages(strategy),
    ...strategy.stages.flatMap((stage, i) => stageFaults(strategy, stage, ['stages', i])),
    ...gateFaults(strategy),
  ];
}

function repeatedStages({ stages }: Strategy): Fault[] {
  const names = stages.map((stage) => stage.name);
  const each = stages.filter((stage) => stage.each !== undefined).map((stage) => stage.name);
  const shadowed = names.flatMap((name, i): Fault[] => {
    const parent = each.find((prefix) => name.startsWith(`${prefix}.`));
    if (parent === undefined) return [];
    const message = `expected another name than \`${name}\`: the stages of \`${parent}\` (\`each\`) are named so`;
    return [{ path: ['stages', i, 'name'], message }];
  });
  return [...repeatedNames('the stage', names, (i) => ['stages', i, 'name']), ...shadowed];
}

function stageFaults(strategy: Strategy, stage: Stage, path: Path): Fault[] {
  return [
    ...takeAndOrderFaults(stage, path),
    ...selectorFaults(stage, path),
    ...waveFaults(stage.waves, [...path, 'waves']),
    ...gateChoiceFaults(strategy, stage, path),
  ];
}

/** `take` beside `each` could mean a number for each value or for all of them: neither is guessed. */
function takeAndOrderFaults({ each, order, take }: Stage, path: Path): Fault[] {
  const faults: Fault[] = [];
  if (each !== undefined && take !== undefined) {
    const message = '`take` and `each` cannot be combined: write one stage with `select` and `take` for each value';
    faults.push({ path: [...path, 'take'], on: 'key', message });
  }
  if (order === undefined) return faults;
  if (each === undefined) {
    const message = '`order` orders the values of `each`, and this stage has no `each`';
    faults.push({ path: [...path, 'order'], on: 'key', message });
  }
  return [...faults, ...repeatedNames('the entry', order, (i) => [...path, 'order', i])];
}

/** Other selector values are names of the fleet; risks are three words, so a mistyped one is known here already. */
function selectorFaults({ each, order, select }: Stage, path: Path): Fault[] {
  const risk = select?.risk;
  const chosen =
    typeof risk === 'string' ? [{ risk, at: [] as Path }] : (risk ?? []).map((r, i) => ({ risk: r, at: [i] }));
  const selected = chosen.flatMap((entry) => unknownRisk(entry.risk, [...path, 'select', 'risk', ...entry.at]));
  if (each !== 'risk') return selected;
  const ordered = (order ?? []).flatMap((entry, i) => (entry === '*' ? [] : unknownRisk(entry, [...path, 'order', i])));
  return [...selected, ...ordered];
}

function unknownRisk(risk: string, path: Path): Fault[] {
  if (RISKS.some((known) => known === risk)) return [];
  const near = nearestName(risk, RISKS);
  const hint = near === undefined ? '' : `; the nearest is \`${near}\``;
  return [{ path, message: `expected \`low\`, \`medium\` or \`high\`, found \`${risk}\`${hint}` }];
}

/**
 * Waves are cumulative, so each entry reaches at least as far as those before it. Numbers and percentages cannot be
 * compared without a fleet; `0` is a hold and reaches nobody.
 */
function waveFaults(waves: Share[], path: Path): Fault[] {
  let sites = 0;
  let percent = 0;
  return waves.flatMap((wave, i): Fault[] => {
    if (wave === 0) return [];
    const at = [...path, i];
    const reached = typeof wave === 'number' ? wave : Number.parseFloat(wave);
    const before = typeof wave === 'number' ? sites : percent;
    if (typeof wave === 'string' && reached === 0) {
      return [{ path: at, message: 'expected more than 0%, or `0` to wait here until someone promotes; found `0%`' }];
    }
    if (typeof wave === 'number' && percent === 100) {
      return [{ path: at, message: `expected nothing but \`0\` after 100%, found the number ${wave}` }];
    }
    if (reached < before) {
      const unit = typeof wave === 'number' ? '' : '%';
      const message = `waves are cumulative: expected at least ${before}${unit} as before, found ${reached}${unit}`;
      return [{ path: at, message }];
    }
    if (typeof wave === 'number') sites = reached;
    else percent = reached;
    return [];
  });
}

function gateChoiceFaults(strategy: Strategy, stage: Stage, path: Path): Fault[] {
  const { gate, because } = stageSettings(strategy, stage);
  const own = stage.gate !== undefined;
  const at: Path = own ? [...path, 'gate'] : strategy.defaults.gate === undefined ? path : ['defaults', 'gate'];
  if (gate === undefined) {
    const message = `the stage \`${stage.name}\` has no gate: expected \`gate:\` here or in \`defaults\`, or \`gate: none\` with \`because:\``;
    return [{ path, message }];
  }
  if (gate === 'none') {
    return because === undefined
      ? [{ path: at, message: '`gate: none` needs `because:` beside it, with the reason for it' }]
      : [];
  }
  const known = Object.keys(strategy.gates);
  if (known.includes(gate)) return [];
  const near = nearestName(gate, known);
  const hint =
    near !== undefined ? `; the nearest is \`${near}\`` : known.length > 0 ? `; known: ${known.join(', ')}` : '';
  return [{ path: at, message: `expected the name of a gate under \`gates\`, found \`${gate}\`${hint}` }];
}

function gateFaults(strategy: Strategy): Fault[] {
  return Object.entries(strategy.gates).flatMap(([name, { metrics }]) => {
    const path = ['gates', name, 'metrics'];
    const names = metrics.map((metric) => metric.name);
    const reserved: Fault[] =
      name === 'none'
        ? [{ path: ['gates', name], on: 'key', message: 'expected another name: `gate: none` means no gate' }]
        : [];
    return [
      ...reserved,
      ...repeatedNames('the metric', names, (i) => [...path, i, 'name']),
      ...metrics.flatMap((metric, i) => [
        ...metricFaults(metric, [...path, i]),
        ...countFaults(strategy, name, metric, [...path, i]),
      ]),
    ];
  });
}

/** Both limits lie below `count`, and the shortest soak that uses the gate holds that many samples. */
function countFaults(strategy: Strategy, gate: string, metric: Metric, path: Path): Fault[] {
  const users = strategy.stages
    .map((stage) => ({ name: stage.name, ...stageSettings(strategy, stage) }))
    .filter((settings) => settings.gate === gate)
    .sort((a, b) => a.soak - b.soak);
  const shortest = users[0];
  if (shortest === undefined) return metric.count === undefined ? [] : limitFaults(metric, metric.count, '', path);
  const held = samplesInSoak(metric, { from: 0, until: shortest.soak });
  const timing = `a window of ${formatDuration(metric.window)}, then one every ${formatDuration(metric.interval)}`;
  const holds = `the soak of ${formatDuration(shortest.soak)} in stage \`${shortest.name}\` holds ${held} samples (${timing})`;
  if (held < 1)
    return [{ path, message: `expected at least one sample, found that ${holds}: this gate could never pass` }];
  if (metric.count === undefined) return limitFaults(metric, held, `; ${holds}`, path);
  if (metric.count <= held) return limitFaults(metric, metric.count, '', path);
  const message = `expected a count of at most ${held}, found ${metric.count}: ${holds}`;
  return [{ path: [...path, 'count'], message }];
}

function limitFaults(metric: Metric, count: number, why: string, path: Path): Fault[] {
  return (['failureLimit', 'inconclusiveLimit'] as const)
    .filter((limit) => metric[limit] >= count)
    .map((limit) => ({
      path: [...path, limit],
      message: `expected less than the count of ${count}, found ${metric[limit]}, which could never be exceeded${why}`,
    }));
}
