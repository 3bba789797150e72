/** What one metric of a gate must hold to: conditions that compile, and a query whose placeholders are known. */
import { compileCondition } from '../../policies/gate/condition.js';
import { MistakeError } from '../../policies/model/failure.js';
import type { Fault, Path } from '../../policies/model/fault.js';
import { nearestName } from '../../policies/model/nearest.js';
import { QUERY_PLACEHOLDERS, type Metric } from '../../policies/model/strategy.js';

export function metricFaults(metric: Metric, path: Path): Fault[] {
  return [
    ...conditionFaults(metric.pass, [...path, 'pass']),
    ...(metric.fail === undefined ? [] : conditionFaults(metric.fail, [...path, 'fail'])),
    ...placeholderFaults(metric.query, [...path, 'query']),
  ];
}

function conditionFaults(condition: string, path: Path): Fault[] {
  try {
    compileCondition(condition);
    return [];
  } catch (error) {
    if (!(error instanceof MistakeError)) throw error;
    return [{ path, message: error.message }];
  }
}

/** `$1` and a closing `$` of a regular expression are PromQL's own; a word after a `$` is meant for Foothold. */
function placeholderFaults(query: string, path: Path): Fault[] {
  const used = [...query.matchAll(/\$\{?([A-Za-z_]\w*)\}?/g)].map((match) => match[1] ?? '');
  return used
    .filter((name) => !QUERY_PLACEHOLDERS.some((known) => known === name))
    .map((name) => {
      const near = nearestName(name, QUERY_PLACEHOLDERS);
      const known = QUERY_PLACEHOLDERS.map((each) => `$${each}`).join(', ');
      const hint = near === undefined ? `; known: ${known}` : `; the nearest is \`$${near}\``;
      return { path, message: `unknown placeholder \`$${name}\`${hint}` };
    });
}
