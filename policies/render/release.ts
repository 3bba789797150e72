/** Which variables a release uses and where, and the release as one site sees it. */
import { MistakeError } from '../model/failure.js';
import type { Vars } from '../model/names.js';
import type { Release } from '../model/release.js';
import { renderStrings, SITE_VARIABLES, stringsIn, templateVariables, type RenderView } from './template.js';

/** The text of a file that `templates` names; `path` as in the manifest. */
export interface TemplateText {
  path: string;
  text: string;
}

/** A name that a release uses, and where: `files/nginx.conf`, `components.relay.apply[1]`. */
export interface VariableUse {
  name: string;
  where: string;
}

/**
 * Every use in the strings of driver, before, after and checks, and in the templates. Throws MistakeError
 * RELEASE_INVALID naming the place of a text that is no template.
 */
export function variableUses(release: Release, templates: readonly TemplateText[]): VariableUse[] {
  return [...renderedStrings(release), ...templates].flatMap(({ path, text }) =>
    namesIn(path, text).map((name) => ({ name, where: path })),
  );
}

/** The strings of a release that are rendered at each site. Names, versions and durations are not. */
export function renderedStrings(release: Release): TemplateText[] {
  const { components, before, after, checks } = release;
  return [
    ...components.flatMap(({ name, driver }) => stringsIn(driver, `components.${name}`)),
    ...stringsIn(before, 'before'),
    ...stringsIn(after, 'after'),
    ...checks.flatMap((check) => stringsIn(check, `checks.${check.name}`)),
  ];
}

/** The release as the site carries it out: driver, before, after and checks rendered. Throws as `renderText` does. */
export function renderRelease(release: Release, view: RenderView): Release {
  const { components, before, after, checks, ...rest } = release;
  return {
    ...rest,
    components: components.map(({ name, driver }) => ({ name, driver: renderStrings(driver, view) })),
    checks: checks.map((check) => renderStrings(check, view)),
    ...(before === undefined ? {} : { before: renderStrings(before, view) }),
    ...(after === undefined ? {} : { after: renderStrings(after, view) }),
  };
}

/** The names that the release declares or uses and `vars` has no value for, sorted. */
export function missingVariables(release: Release, templates: readonly TemplateText[], vars: Vars): string[] {
  const used = variableUses(release, templates).map((use) => use.name);
  return namesWithoutValue([...Object.keys(release.vars), ...used], vars);
}

/** The same where the names used are known already. */
export function namesWithoutValue(names: readonly string[], vars: Vars): string[] {
  const needed = new Set(names.filter((name) => !SITE_VARIABLES.some((known) => known === name)));
  return [...needed].filter((name) => !Object.hasOwn(vars, name)).sort();
}

function namesIn(path: string, text: string): string[] {
  try {
    return templateVariables(text);
  } catch (error) {
    throw error instanceof MistakeError ? new MistakeError(error.code, `${path}: ${error.message}`) : error;
  }
}
