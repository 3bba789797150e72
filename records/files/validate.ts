/** `foothold validate`: any file of the format, by the kind that it says it is. */
import type { ReasonCode } from '../../policies/model/reasons.js';
import { readAgent } from './agent-file.js';
import { kindFaults, kindOf, refuse, type Kind } from './check-file.js';
import { loadFleet } from './fleet-file.js';
import type { SourceFile } from './located.js';
import { readProject } from './project-file.js';
import { readRelease, releaseFileAt } from './release-file.js';
import { readStrategy } from './strategy-file.js';
import { readYamlFile } from './yaml-file.js';

export interface ValidFile {
  kind: Kind;
  /** `edge-proxy@2.4.0`, the strategy's or site's name; the path for kinds without a name. */
  name: string;
  /** The file with every default written out. */
  filled: unknown;
}

/** `path` is a file, or the directory of a release. Throws MistakeError with every finding in `details`. */
export async function validateFile(path: string): Promise<ValidFile> {
  const file = await releaseFileAt(path);
  const source = await readYamlFile(file, 'FILE_INVALID');
  const faults = kindFaults(source.data);
  if (faults.length > 0) throw refuse(source, faults, 'FILE_INVALID' satisfies ReasonCode);
  return read(source, kindOf(source.data) as Kind);
}

async function read(source: SourceFile, kind: Kind): Promise<ValidFile> {
  switch (kind) {
    case 'Release': {
      const { release, filled } = readRelease(source);
      return { kind, name: `${release.stream}@${release.version}`, filled };
    }
    case 'Strategy': {
      const { strategy, filled } = readStrategy(source);
      return { kind, name: strategy.name, filled };
    }
    case 'Fleet':
      return { kind, name: source.path, filled: (await loadFleet(source.path)).filled };
    case 'Project':
      return { kind, name: source.path, filled: readProject(source).filled };
    case 'Agent': {
      const { file, filled } = readAgent(source);
      return { kind, name: file.site, filled };
    }
  }
}
