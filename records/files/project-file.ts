/** Loading `foothold.yaml`, whose paths start at its own directory. */
import { dirname, isAbsolute, join } from 'node:path';
import { z } from 'zod';
import { Project } from '../../policies/model/project.js';
import { checkFile } from './check-file.js';
import type { SourceFile } from './located.js';
import { readYamlFile } from './yaml-file.js';

export interface LoadedProject {
  /** As written, with defaults: its paths are relative to `directory`. */
  project: Project;
  directory: string;
  filled: unknown;
}

/** Throws MistakeError FILE_INVALID or FILE_NOT_FOUND. */
export async function loadProject(path: string): Promise<LoadedProject> {
  return { ...readProject(await readYamlFile(path, 'FILE_INVALID')), directory: dirname(path) };
}

export function readProject(source: SourceFile): Omit<LoadedProject, 'directory'> {
  const project = checkFile(source, { kind: 'Project', schema: Project, code: 'FILE_INVALID' });
  return { project, filled: z.encode(Project, project) };
}

/** The project with every path resolved against the directory of its file: what commands work with. */
export function resolveProject({ project, directory }: Pick<LoadedProject, 'project' | 'directory'>): Project {
  const at = (path: string) => resolveFrom(directory, path);
  return {
    ...project,
    fleet: at(project.fleet),
    strategies: at(project.strategies),
    depot: { ...project.depot, write: at(project.depot.write) },
    registry: project.registry.replace(/^sqlite:(.+)$/, (_, file: string) => `sqlite:${at(file)}`),
    controlKey: at(project.controlKey),
  };
}

/** `path` as it is meant in a file that lies in `directory`. */
export function resolveFrom(directory: string, path: string): string {
  return isAbsolute(path) ? path : join(directory, path);
}
