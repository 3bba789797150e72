/** The address of a registry, as `registry:` and `--registry` give it: which database, and what of it may be shown. */
import { MistakeError } from '../../policies/model/failure.js';

export type RegistryAddress =
  | { kind: 'sqlite'; path: string }
  /** `place` names it to people: it holds no user, no password and no parameters. */
  | { kind: 'postgres'; url: string; place: string; password: string | undefined };

/** Throws MistakeError `REGISTRY_INVALID`, which never repeats the address: it may hold a password. */
export function readAddress(url: string): RegistryAddress {
  if (/^postgres(ql)?:/.test(url)) return readPostgres(url);
  const path = /^sqlite:(.+)$/s.exec(url)?.[1];
  if (path !== undefined && !path.includes('\0')) return { kind: 'sqlite', path };
  const scheme = /^[a-z+]+:/.exec(url)?.[0] ?? 'an address without a scheme';
  const message = `expected \`registry: sqlite:PATH\` or \`postgres://…\` in foothold.yaml, got ${scheme}`;
  throw new MistakeError('REGISTRY_INVALID', message);
}

/** The address as it may be printed. */
export function shownAddress(url: string): string {
  const address = readAddress(url);
  return address.kind === 'sqlite' ? url : address.place;
}

function readPostgres(url: string): RegistryAddress {
  const parsed = parse(url);
  // A user or password with `/`, `?` or `#` as it stands ends the host early, and its rest would pass for path or query.
  const strayed = parsed === undefined || /[@]/.test(parsed.pathname + parsed.search + parsed.hash);
  if (strayed || parsed.hash !== '') {
    const message =
      'expected `registry: postgres://USER@HOST:PORT/DATABASE`, got an address that cannot be read: write characters such as / ? # @ in user and password as %2F %3F %23 %40';
    throw new MistakeError('REGISTRY_INVALID', message);
  }
  const password = decoded(parsed.password) || parsed.searchParams.get('password') || undefined;
  const host = parsed.host || parsed.searchParams.get('host') || '';
  return { kind: 'postgres', url, place: `postgres://${decoded(host)}${parsed.pathname}`, password };
}

function parse(url: string): URL | undefined {
  try {
    // `postgres://user@/database` means the host of PGHOST; an URL as such needs one.
    return new URL(url.replace('@/', '@localhost/'));
  } catch {
    // No cause: the error of URL repeats the whole address.
    return undefined;
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
