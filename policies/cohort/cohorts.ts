/** Cohorts: which sites each stage of a strategy takes (design §6 "Meaning"). */
import { MistakeError } from '../model/failure.js';
import { RISKS, type Site } from '../model/fleet.js';
import { Name } from '../model/names.js';
import { didYouMean } from '../model/nearest.js';
import type { Stage, Strategy } from '../model/strategy.js';
import { knownValues, type Scope } from './scope.js';
import { matches, valueOf, writeSelector, type SelectorKey } from './selector.js';
import { inOrder } from './waves.js';

/** One stage of the plan to be: `sites` in order, perhaps none. */
export interface Cohort {
  name: string;
  stage: Stage;
  sites: Site[];
}

/**
 * Every site in scope belongs to the first stage that selects it; what `take` leaves goes on. `each` makes a stage per
 * value, and `take` and `waves` count within each of them; a site without the value goes on to later stages.
 * Throws MistakeError SELECTOR_EMPTY, SITE_IN_NO_STAGE, STRATEGY_INVALID.
 */
export function planCohorts(scope: Scope, everywhere: Site[], strategy: Strategy): Cohort[] {
  const left = new Map(inOrder(scope.chosen).map((site) => [site.id, site]));
  const cohorts = strategy.stages
    .flatMap((stage) => unfoldStage(stage, scope.active, everywhere))
    .map((part) => {
      const selected = [...left.values()].filter(part.selects);
      const sites = part.stage.take === undefined ? selected : selected.slice(0, part.stage.take);
      for (const site of sites) left.delete(site.id);
      return { name: part.name, stage: part.stage, sites };
    });
  refuseSameName(cohorts);
  if (left.size > 0) throw inNoStage([...left.values()], strategy);
  return cohorts;
}

interface Part {
  name: string;
  stage: Stage;
  selects: (site: Site) => boolean;
}

/** Held against all active sites of the stream, so that `only` and earlier stages change no stage's existence. */
function unfoldStage(stage: Stage, active: Site[], everywhere: Site[]): Part[] {
  const { select, each } = stage;
  const selects = (site: Site): boolean => select === undefined || matches(select, site);
  const selected = active.filter(selects);
  if (select !== undefined && selected.length === 0) {
    throw new MistakeError(
      'SELECTOR_EMPTY',
      `expected the selector of stage ${stage.name} to match an active site of the stream, got none for ${writeSelector(select)}`,
      knownValues(active, select),
    );
  }
  if (each === undefined) {
    if (stage.order === undefined) return [{ name: stage.name, stage, selects }];
    throw invalid(stage, 'has an order but no each: name what the order is of, such as each: region');
  }
  return orderedValues(stage, each, selected, everywhere).map((value) => ({
    name: `${stage.name}.${nameOfValue(stage, each, value)}`,
    stage,
    selects: (site) => selects(site) && valueOf(site, each) === value,
  }));
}

/** The values in the order asked for; `"*"` stands for those not named; without it these go on to later stages. */
function orderedValues(stage: Stage, each: SelectorKey, selected: Site[], everywhere: Site[]): string[] {
  const present = [...new Set(selected.flatMap((site) => valueOf(site, each) ?? []))].sort(byRiskOrName(each));
  const order = stage.order ?? ['*'];
  if (new Set(order).size < order.length) throw invalid(stage, `names a value twice in its order: ${order.join(', ')}`);
  const known = new Set(everywhere.flatMap((site) => valueOf(site, each) ?? []));
  for (const value of order) {
    if (value === '*' || known.has(value)) continue;
    throw invalid(stage, `orders by ${each} ${value}, which no site of the fleet has.${didYouMean(value, known)}`);
  }
  const rest = present.filter((value) => !order.includes(value));
  return order.flatMap((value) => (value === '*' ? rest : present.includes(value) ? [value] : []));
}

function byRiskOrName(each: SelectorKey): (a: string, b: string) => number {
  const risks: readonly string[] = RISKS;
  return (a, b) => (each === 'risk' ? risks.indexOf(a) - risks.indexOf(b) : a < b ? -1 : 1);
}

/** `Nordic Coast` → `nordic-coast`: stage names are parts of workflow ids. */
function nameOfValue(stage: Stage, each: SelectorKey, value: string): string {
  const name = value
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+|[^a-z0-9]+$/g, '');
  if (Name.safeParse(`${stage.name}.${name}`).success && name !== '') return name;
  throw invalid(stage, `cannot be named after ${each} ${JSON.stringify(value)}: use ASCII letters, at most 63 in all`);
}

function refuseSameName(cohorts: Cohort[]): void {
  const seen = new Set<string>();
  for (const { name, stage } of cohorts) {
    if (seen.has(name)) throw invalid(stage, `makes a second stage called ${name}`);
    seen.add(name);
  }
}

function inNoStage(sites: Site[], strategy: Strategy): MistakeError {
  const lines = sites.map((site) => {
    const attributes = [
      `risk ${site.risk}`,
      `region ${site.region ?? '(none)'}`,
      `cluster ${site.cluster ?? '(none)'}`,
    ];
    return `${site.id}: ${[...attributes, `asset type ${site.assetType ?? '(none)'}`, `link ${site.link.name}`].join(', ')}`;
  });
  const stages = strategy.stages.map((stage) => stage.name).join(', ');
  const hint = 'Add a last stage without `select`, or start with `only`.';
  return new MistakeError(
    'SITE_IN_NO_STAGE',
    `expected every site in scope to be in a stage of strategy ${strategy.name} (${stages}), ${sites.length} are in none. ${hint}`,
    lines,
  );
}

function invalid(stage: Stage, what: string): MistakeError {
  return new MistakeError('STRATEGY_INVALID', `stage ${stage.name} ${what}`);
}
