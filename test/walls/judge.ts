/**
 * The walls between the rooms (design §3) as one function over plain files: what each room may import, and from where.
 * The workflow bundler lets `axios` and `pino` through in silence, so it is no wall; this is.
 */
import { isBuiltin } from 'node:module';
import { posix } from 'node:path';
import { readImports, type Import } from './imports.js';
import { readState } from './state.js';

export interface SourceFile {
  /** From the root of the checkout, with `/`. */
  path: string;
  text: string;
}

export interface Breach {
  path: string;
  line: number;
  /** What was written and why it is refused. */
  why: string;
}

interface Edge extends Import {
  from: string;
}

/** What a room may import besides itself; the rest of the rules narrows this. */
const ROOMS: Record<string, string[]> = {
  policies: [],
  site: ['policies'],
  records: ['policies'],
  activities: ['records', 'policies'],
  workflows: ['policies', 'activities'],
  worker: ['site', 'records', 'activities', 'workflows', 'policies', 'infra'],
  cli: ['policies', 'records', 'infra', 'site', 'worker'],
  infra: ['policies'],
};
const ROOM_NAMES = Object.keys(ROOMS);

/** Folders that nobody imports and that may import everything: proof, figures, and the parts of the demo. */
const OUTSIDE = ['test', 'bench', 'examples'];

/** Pure packages only: what touches the world is not for policies, whoever asks. A new one is added here after a look at it. */
const POLICY_PACKAGES = ['zod', 'luxon', 'semver', 'yaml', 'mustache', '@bufbuild/cel'];
const SIGNING_PACKAGES = ['canonicalize'];
const WORKFLOW_PACKAGES = ['@temporalio/workflow', '@temporalio/common'];

const BANNED_NAMES = ['lib', 'libs', 'util', 'utils', 'common', 'shared', 'helper', 'helpers'];

/** Judges all files of the rooms together, for what workflows load reaches through several of them. */
export function judgeWalls(files: SourceFile[]): Breach[] {
  const edges = new Map(
    files.map((file) => [file.path, readImports(file.path, file.text).map((each) => ({ ...each, from: file.path }))]),
  );
  return [
    ...files.flatMap(judgeName),
    ...[...edges.values()].flat().flatMap(judgeEdge),
    ...judgeWorkflowClosure(edges, files),
  ];
}

function judgeName({ path }: SourceFile): Breach[] {
  const parts = path.split('/').map((part) => part.replace(/(\.(test|d))?\.[a-z]+$/, ''));
  const banned = parts.find((part) => BANNED_NAMES.includes(part.toLowerCase()));
  return banned
    ? [{ path, line: 1, why: `no folder or file is called \`${banned}\`: put it in the room of its caller` }]
    : [];
}

function judgeEdge(edge: Edge): Breach[] {
  const room = roomOf(edge.from);
  if (OUTSIDE.includes(room)) return [];
  const why =
    edge.specifier === undefined
      ? 'an import that is computed cannot be judged'
      : judgeSpecifier(room, edge, edge.specifier);
  return why ? [{ path: edge.from, line: edge.line, why }] : [];
}

function judgeSpecifier(room: string, edge: Edge, specifier: string): string | undefined {
  if (specifier.startsWith('.')) return judgeRooms(room, edge, resolve(edge.from, specifier));
  if (specifier.startsWith('/') || specifier.startsWith('#'))
    return `\`${specifier}\`: rooms import each other by relative paths`;
  return judgePackage(room, edge.from, specifier);
}

function judgeRooms(room: string, edge: Edge, target: string): string | undefined {
  const targetRoom = roomOf(target);
  const refused = `${room} must not import ${target}`;
  if (!ROOM_NAMES.includes(targetRoom)) return `${refused}: it is no room`;
  if (targetRoom !== room && !ROOMS[room]?.includes(targetRoom)) return refused;
  if (isIn(edge.from, 'infra/setup') && !isIn(target, 'infra/setup'))
    return `${refused}: set-up runs before anything is built`;
  if (room === 'policies' && isIn(target, 'policies/signing') && !isIn(edge.from, 'policies/signing')) {
    return `${refused}: workflows bundle the policies, and signing needs Node`;
  }
  if (room === 'workflows' && isIn(target, 'policies/signing')) return `${refused}: signing needs Node`;
  if (room === 'workflows' && targetRoom === 'activities' && edge.kind !== 'type')
    return `${refused}, except by \`import type\``;
  if (room === 'cli' && targetRoom === 'site' && !isIn(target, 'site/local'))
    return `${refused}: only site/local is its door`;
  if (room === 'cli' && targetRoom === 'worker' && edge.kind !== 'dynamic')
    return `${refused}, except by a dynamic import`;
  if (room === 'infra' && targetRoom === 'policies' && !isIn(target, 'policies/model'))
    return `${refused}: only policies/model`;
  return undefined;
}

function judgePackage(room: string, from: string, specifier: string): string | undefined {
  const name = specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
  const refused = `${room} must not import \`${specifier}\``;
  const signing = isIn(from, 'policies/signing');
  if (isBuiltin(specifier)) {
    if (room === 'workflows') return `${refused}: Node is not in the workflow sandbox`;
    if (room === 'policies' && !signing) return `${refused}: Node is for policies/signing only`;
    return undefined;
  }
  if (isIn(from, 'infra/setup')) return `${refused}: set-up runs before packages are installed`;
  if (room === 'policies' && !POLICY_PACKAGES.includes(name) && !(signing && SIGNING_PACKAGES.includes(name))) {
    return `${refused}: only pure packages, listed in test/walls/judge.ts`;
  }
  if (room === 'workflows' && !WORKFLOW_PACKAGES.includes(name))
    return `${refused}: only ${WORKFLOW_PACKAGES.join(', ')}`;
  if (room === 'site' && (name === 'temporalio' || name.startsWith('@temporalio/')))
    return `${refused}: autonomy is structural`;
  return undefined;
}

/**
 * What workflows load at run time, through however many files, is bundled with them, and loaded once for all of them
 * (worker/bundle.ts): neither signing nor Node may be in it, nor a package whose code all would wait for, nor state of a module,
 * which one workflow would leave to the next.
 */
function judgeWorkflowClosure(edges: Map<string, Edge[]>, files: SourceFile[]): Breach[] {
  const known = new Map(files.map((file) => [file.path, file]));
  const breaches: Breach[] = [];
  const seen = new Set([...known.keys()].filter((path) => roomOf(path) === 'workflows'));
  for (const path of seen) {
    for (const line of readState(path, known.get(path)?.text ?? ''))
      breaches.push({ path, line, why: 'workflows load this file once for all of them: it must keep no state' });
    for (const edge of edges.get(path) ?? []) {
      if (edge.kind === 'type' || edge.specifier === undefined) continue;
      const isOwn = edge.specifier.startsWith('.');
      const target = isOwn ? sourceOf(resolve(edge.from, edge.specifier), known) : edge.specifier;
      const isStrange = !isOwn && roomOf(path) !== 'workflows' && !WORKFLOW_PACKAGES.includes(target);
      if (isIn(target, 'policies/signing') || isBuiltin(target) || isStrange)
        breaches.push({ path, line: edge.line, why: `workflows load this file, and with it ${target}` });
      // A set is gone through to its end, also what is added meanwhile.
      else if (known.has(target)) seen.add(target);
    }
  }
  return breaches;
}

/** The source that an import of a `.js` file means. */
function sourceOf(target: string, known: ReadonlyMap<string, unknown>): string {
  const stem = target.replace(/\.([cm]?)js$/, '');
  return [target, `${stem}.ts`, `${stem}.mts`].find((each) => known.has(each)) ?? target;
}

const resolve = (from: string, specifier: string): string =>
  posix.normalize(posix.join(posix.dirname(from), specifier));
const roomOf = (path: string): string => path.split('/')[0] ?? '';

/** Whether `path` is the folder or module `place`, or lies in it. */
function isIn(path: string, place: string): boolean {
  return path === place || path.startsWith(`${place}/`) || path.replace(/\.[cm]?[jt]s$/, '') === place;
}
