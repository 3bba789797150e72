/** A simulated site's surroundings: a depot, what its releases do there, and the services whose health they decide. */
import { dirname, join } from 'node:path';
import { blobPath, manifestPath } from '../../../policies/model/depot.js';
import { NOT_YET } from '../../../policies/model/not-yet.js';
import { canonicalJson, sha256Hex } from '../../../policies/signing/jcs.js';
import type { Chance } from '../random.js';
import { disk, realFs } from './disk.js';
import type { Refusals } from './good-changes.js';
import type { Program, Programs } from './programs.js';
import { time } from './time.js';

export type Fate = 'good' | 'bad' | 'hangs' | 'flaps' | 'late' | 'reload-fails' | 'after-fails' | 'before-fails';
/** Never healthy for long enough: such a release must not be confirmed, ever. */
export const BAD = new Set<Fate>(['bad', 'hangs', 'flaps', 'reload-fails', 'after-fails', 'before-fails']);
export type Shape = 'directory' | 'loaded' | 'exec' | 'both';

export interface SimRelease {
  stream: string;
  version: string;
  fate: Fate;
  within: number;
  healthyFor: number;
  digest: string;
}

export interface SimStream {
  name: string;
  shape: Shape;
  releases: Map<string, SimRelease>;
}

/** Taken up as soon as the site does it. */
const knowsWatchFor = !NOT_YET.some(({ kind, at }) => kind === 'Release' && at === 'watchFor');

const ORIGINAL = 'original';
const NOTHING = '?nothing';
const FILLER = 'filler of '.repeat(150);

export class World implements Programs {
  readonly streams = new Map<string, SimStream>();
  /** What a service read when it was last told to. */
  private readonly loaded = new Map<string, string>();
  private readonly refused = new Map<string, Refusals>();
  private acts = 0;
  private known: { at: number; live: Record<string, string[]> } | undefined;
  private liveSince = new Map<string, { version: string; at: number }>();
  /** Streams whose controller or service fails every program, for a while. */
  readonly broken = new Set<string>();

  constructor(
    readonly root: string,
    private readonly chance: Chance,
    private readonly repairs = false,
  ) {}

  get data(): string {
    return join(this.root, 'data');
  }

  get depot(): string {
    return join(this.root, 'depot');
  }

  target(stream: string): string {
    return join(this.root, 'live', stream);
  }

  controller(stream: string): string {
    return join(this.root, 'controllers', stream);
  }

  add(name: string, shape: Shape): SimStream {
    const stream = { name, shape, releases: new Map<string, SimRelease>() };
    this.streams.set(name, stream);
    if (hasDirectory(shape)) this.write(join(this.target(name), 'page'), ORIGINAL);
    if (hasExec(shape)) this.write(this.controller(name), ORIGINAL);
    this.loaded.set(name, ORIGINAL);
    return stream;
  }

  publish(stream: SimStream, version: string, fate: Fate, within: number, healthyFor: number): SimRelease {
    const { name, shape } = stream;
    const sim = (...argv: string[]) => ['sim', ...argv, name, version];
    const components = [];
    const files: Record<string, string> = {};
    if (hasDirectory(shape)) {
      const reload = shape === 'loaded' ? { reload: sim('reload'), timeout: '3s' } : {};
      components.push({
        name: 'config',
        // By the template: the digest, and with it every name on the disk, is the same in each run of a seed.
        driver: { type: 'directory', files: './files', target: `{{site.data}}/../live/${name}`, ...reload },
      });
      files['files/page'] = version;
      files['files/more/filler'] = `${FILLER}${name} ${version}`;
    }
    if (hasExec(shape)) {
      const driver = { type: 'exec', files: './relay', timeout: '3s' };
      const programs = { save: sim('save'), apply: sim('apply'), verify: sim('verify'), revert: sim('restore') };
      components.push({ name: 'relay', driver: { ...driver, ...programs } });
      files['relay/state'] = version;
    }
    const seconds = (ms: number) => `${ms / 1_000}s`;
    const check = this.chance.in(0.8) ? { exec: sim('check') } : { http: `http://127.0.0.1:1/${name}`, expect: 200 };
    const written = {
      ...{ apiVersion: 'foothold/v1', kind: 'Release', stream: name, version, components },
      checks: [{ name: 'answers', ...check, every: '1s', timeout: '500ms', failures: 2 }],
      ...(fate === 'before-fails' ? { before: { exec: sim('fail'), timeout: '3s' } } : {}),
      ...(fate === 'after-fails' ? { after: { exec: sim('fail-if-live'), timeout: '3s' } } : {}),
      ...(fate === 'good' && this.chance.in(0.2) ? { before: { exec: sim('nothing'), timeout: '3s' } } : {}),
      confirm: { within: seconds(within), healthyFor: seconds(healthyFor) },
      ...(this.repairs && hasDirectory(shape) ? { drift: [{ paths: ['more/**'], then: 'repair' }] } : {}),
      ...(knowsWatchFor ? { watchFor: '10m' } : {}),
    };
    const digest = this.put(written, files);
    const release = { stream: name, version, fate, within, healthyFor, digest };
    stream.releases.set(version, release);
    return release;
  }

  private put(release: object, files: Record<string, string>): string {
    const listed = Object.entries(files).map(([path, text]) => {
      const digest = `sha256:${sha256Hex(text)}`;
      this.write(join(this.depot, blobPath(digest)), text);
      return { path, digest, size: Buffer.byteLength(text), mode: 0o644 };
    });
    const manifest = canonicalJson({ format: 'foothold.release/v1', release, files: listed });
    const digest = `sha256:${sha256Hex(manifest)}`;
    this.write(join(this.depot, manifestPath(digest)), manifest);
    return digest;
  }

  private write(path: string, text: string): void {
    realFs.mkdirSync(dirname(path), { recursive: true });
    realFs.writeFileSync(path, text);
  }

  /** Of every stream what is live; read anew only if something may have changed it. */
  shown(): Record<string, string[]> {
    const at = disk.changes + this.acts;
    if (this.known?.at !== at) {
      const live = [...this.streams.values()].map((one): [string, string[]] => [one.name, this.live(one)]);
      this.known = { at, live: Object.fromEntries(live) };
    }
    return this.known.live;
  }

  /** Something outside the agent has changed, or may have changed, what is live. */
  touched(): void {
    this.acts += 1;
  }

  /** The machine starts anew: services read what is at their targets. */
  rebooted(): void {
    this.touched();
    for (const { name, shape } of this.streams.values()) if (shape === 'loaded') this.loaded.set(name, this.page(name));
  }

  /** Every version that some part of the stream shows; one element where all is well, `?…` what no release holds. */
  live(stream: SimStream): string[] {
    const shown = new Set<string>();
    if (hasDirectory(stream.shape)) shown.add(this.page(stream.name));
    if (stream.shape === 'loaded') shown.add(this.served(stream.name));
    if (hasExec(stream.shape)) shown.add(read(this.controller(stream.name)) ?? NOTHING);
    return [...shown];
  }

  /** A service whose configuration was not there when the machine started is started again until it is. */
  private served(name: string): string {
    const loaded = this.loaded.get(name) ?? NOTHING;
    if (loaded !== NOTHING) return loaded;
    this.loaded.set(name, this.page(name));
    return this.loaded.get(name) ?? NOTHING;
  }

  /** The version whose files lie whole at the target. */
  page(name: string): string {
    const at = this.target(name);
    const version = read(join(at, 'page'));
    if (version === undefined) return NOTHING;
    if (version === ORIGINAL) return version;
    return read(join(at, 'more/filler')) === `${FILLER}${name} ${version}` ? version : `?${version}`;
  }

  private healthy(name: string): boolean | undefined {
    const stream = this.streams.get(name);
    const [version = '?', more] = stream ? this.live(stream) : [];
    const since = this.liveSince.get(name);
    if (since?.version !== version) this.liveSince.set(name, { version, at: time.now });
    if (version === ORIGINAL && more === undefined) return true;
    const fate = stream?.releases.get(version)?.fate;
    if (more !== undefined || fate === undefined) return false;
    if (fate === 'hangs') return undefined;
    if (fate === 'flaps') return Math.floor(time.now / 2_000) % 2 === 0;
    if (fate === 'late') return time.now - (this.liveSince.get(name)?.at ?? 0) < 40_000;
    return fate !== 'bad';
  }

  /** What was answered of a stream so far. */
  refusalsOf(name: string): Refusals {
    return { checks: 0, programs: 0, ...this.refused.get(name) };
  }

  private refuse(name: string, what: keyof Refusals): void {
    const known = this.refusalsOf(name);
    this.refused.set(name, { ...known, [what]: known[what] + 1 });
  }

  answer(address: string): { ms: number | undefined; status: number } {
    const name = address.split('/').at(-1) ?? '';
    const healthy = this.healthy(name);
    if (healthy !== true) this.refuse(name, 'checks');
    return { ms: healthy === undefined ? undefined : this.chance.between(1, 20), status: healthy ? 200 : 503 };
  }

  run(argv: string[], { cwd, env }: { cwd: string; env: Record<string, string | undefined> }): Program {
    const [, verb = '', name = '', version = ''] = argv;
    const release = this.streams.get(name)?.releases.get(version);
    const ms = this.chance.between(1, 30);
    const act = () => {
      const end = this.attempt(verb, name, release, { cwd, saved: env['FOOTHOLD_SAVED'] ?? '' });
      if (end.exit !== 0) this.refuse(name, verb === 'check' ? 'checks' : 'programs');
      return end;
    };
    return { ms: verb === 'check' && this.healthy(name) === undefined ? undefined : ms, act };
  }

  private attempt(...what: Parameters<World['act']>): { exit: number; says?: string } {
    try {
      return this.act(...what);
    } catch (error) {
      return { exit: 1, says: error instanceof Error ? error.message : String(error) };
    }
  }

  private act(verb: string, name: string, release: SimRelease | undefined, at: { cwd: string; saved: string }) {
    if (verb !== 'check') this.touched();
    const controller = this.controller(name);
    const well = (ok: boolean) => ({ exit: ok ? 0 : 1 });
    if (this.broken.has(name) && verb !== 'check') return { exit: 7, says: 'the controller does not answer' };
    switch (verb) {
      case 'check':
        return well(this.healthy(name) === true);
      case 'reload':
        if (release?.fate === 'reload-fails' && this.page(name) === release.version) return well(false);
        this.loaded.set(name, this.page(name));
        return well(true);
      case 'save':
        disk.call('copyFile', [controller, at.saved]);
        return well(true);
      case 'apply':
        replace(controller, realFs.readFileSync(join(at.cwd, 'state')));
        return well(release?.fate !== 'reload-fails');
      case 'verify':
        return well(read(controller) === read(join(at.cwd, 'state')));
      case 'restore':
        replace(controller, realFs.readFileSync(at.saved));
        return well(true);
      case 'fail-if-live':
        return well(!this.live(this.streams.get(name) as SimStream).includes(release?.version ?? ''));
      default:
        return well(verb === 'nothing');
    }
  }
}

export function hasDirectory(shape: Shape): boolean {
  return shape !== 'exec';
}
export function hasExec(shape: Shape): boolean {
  return shape === 'exec' || shape === 'both';
}

function read(path: string): string | undefined {
  try {
    return realFs.readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function replace(path: string, bytes: Buffer): void {
  realFs.writeFileSync(`${path}.new`, bytes);
  realFs.renameSync(`${path}.new`, path);
}
