/** Loading the fleet: its file, the files it includes, and what sites inherit. */
import { dirname, extname } from 'node:path';
import { z } from 'zod';
import { Fleet, IncludedSites, type ResolvedFleet, type SiteFile } from '../../policies/model/fleet.js';
import { digestOf } from '../../policies/signing/jcs.js';
import { checkData, checkFile } from './check-file.js';
import { parseSitesCsv } from './csv-file.js';
import { linkClassesOf, writtenLinkClasses } from './fleet-links.js';
import { fleetFaults, resolveSite, siteFaults } from './fleet-sites.js';
import { includedFiles } from './include.js';
import { findingOf, findingsIn, placeOf, placeText, refuseIfAny, type Finding, type SourceFile } from './located.js';
import { readText } from './read-text.js';
import { parseYaml, readYamlFile } from './yaml-file.js';

const CODE = 'FLEET_INVALID';

export interface LoadedFleet extends ResolvedFleet {
  /** The fleet file itself with every default written out, built-in link classes included; not the included files. */
  filled: unknown;
}

/** One file's sites, and where they stand in it. */
interface Part {
  source: SourceFile;
  sites: SiteFile[];
}

/**
 * The fleet with every site resolved, ordered by id; `added` are sites from elsewhere (`{ sites: [...] }`). Throws
 * MistakeError FLEET_INVALID or FILE_NOT_FOUND.
 */
export async function loadFleet(path: string, added: SourceFile[] = []): Promise<LoadedFleet> {
  const source = await readYamlFile(path, CODE);
  const fleet = checkFile(source, { kind: 'Fleet', schema: Fleet, code: CODE, rules: fleetFaults });
  const parts = [{ source, sites: fleet.sites }, ...(await includedParts(source, fleet)), ...added.map(partOf)];
  refuseIfAny(CODE, [...repeatedIds(parts), ...siteFindings(parts, fleet)]);
  const links = linkClassesOf(fleet.linkClasses);
  const sites = parts
    .flatMap((part) => part.sites)
    .map((site) => resolveSite(site, fleet, links))
    .sort((a, b) => (a.id < b.id ? -1 : 1));
  const filled = z.encode(Fleet, { ...fleet, linkClasses: writtenLinkClasses(fleet.linkClasses) });
  return { digest: digestOf(sites), sites, filled };
}

function partOf(source: SourceFile): Part {
  return { source, sites: checkData(source, { kind: 'Fleet', schema: IncludedSites, code: CODE }).sites };
}

/** Every file is read before any is refused, so that one run names all that is wrong. */
async function includedParts(source: SourceFile, fleet: Fleet): Promise<Part[]> {
  const { paths, findings } = await includedFiles(source, fleet.include, dirname(source.path));
  const parts: Part[] = [];
  for (const path of paths) {
    try {
      parts.push(partOf(await readIncluded(path)));
    } catch (error) {
      findings.push(...findingsIn(error));
    }
  }
  refuseIfAny(CODE, findings);
  return parts;
}

async function readIncluded(path: string): Promise<SourceFile> {
  const text = await readText(path, CODE);
  if (extname(path) === '.csv') return parseSitesCsv(path, text, CODE);
  const source = parseYaml(path, text, CODE);
  if (!Array.isArray(source.data)) return source;
  const root = { at: source.root.at, below: new Map([['sites', source.root]]) };
  return { path, data: { sites: source.data }, root };
}

function repeatedIds(parts: Part[]): Finding[] {
  const first = new Map<string, string>();
  return parts.flatMap(({ source, sites }) =>
    sites.flatMap(({ id }, i): Finding[] => {
      const at = placeOf(source, ['sites', i, 'id']);
      const earlier = first.get(id);
      first.set(id, earlier ?? placeText(source.path, at));
      if (earlier === undefined) return [];
      return [{ path: source.path, at, message: `the site \`${id}\` is there twice; first at ${earlier}` }];
    }),
  );
}

function siteFindings(parts: Part[], fleet: Fleet): Finding[] {
  return parts.flatMap(({ source, sites }) =>
    sites.flatMap((site, i) => siteFaults(site, fleet, ['sites', i]).map((fault) => findingOf(source, fault))),
  );
}
