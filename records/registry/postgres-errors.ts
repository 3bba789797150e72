/** What PostgreSQL's errors mean to the registry's callers, in words that never hold a password. */
import pg from 'pg';
import { MistakeError, WorldError } from '../../policies/model/failure.js';
import type { RegistryAddress } from './address.js';

/** SQLSTATEs of a server that lets nobody in, or not us: connection lost, shutting down, too many, no such role or database. */
const UNREACHABLE = /^(08|28|3D|53300|57P0[1-5])/;
/** Of a server that could not do what it was asked, and may later: resources, limits, locks, disk, rights, a standby. */
const BROKEN = /^(25006|40|42501|53|54|55P03|57|58|F0|XX)/;

/** True if nothing more can be asked of the client: all that is not the server's own answer to a statement. */
export function breaksConnection(error: unknown): boolean {
  return !(error instanceof pg.DatabaseError) || error.severity === 'FATAL' || error.severity === 'PANIC';
}

export class Translator {
  readonly #place: string;
  readonly #secrets: string[];

  constructor({ place, password }: RegistryAddress & { kind: 'postgres' }) {
    this.#place = place;
    const known = [password, process.env['PGPASSWORD']].filter((secret) => secret !== undefined && secret !== '');
    this.#secrets = (known as string[]).flatMap((secret) => [secret, encodeURIComponent(secret)]);
  }

  meaning(error: unknown): unknown {
    if (error instanceof WorldError || error instanceof MistakeError) return error;
    const cause = this.#withoutSecrets(error);
    const { code } = cause;
    const said = code === undefined || cause.message.includes(code) ? cause.message : `${cause.message} (${code})`;
    if (breaksConnection(error) || UNREACHABLE.test(code ?? '')) {
      const message = `the registry ${this.#place} could not be reached: ${said}; ${howToReach(code ?? '')}`;
      return new WorldError('REGISTRY_UNREACHABLE', message, { cause });
    }
    if (!BROKEN.test(code ?? '')) return cause;
    const message = `the registry ${this.#place} could not be read or written: ${said}; ${howToMend(code ?? '')}`;
    return new WorldError('REGISTRY_BROKEN', message, { cause });
  }

  tooBusy(patience: number): WorldError {
    const message = `the registry ${this.#place} could not be read or written: other transactions of this process had not ended within ${patience} ms; look for what keeps the database busy`;
    return new WorldError('REGISTRY_BROKEN', message);
  }

  /** A copy: an error of the client may hang on to the client itself, and with it to the whole address. */
  #withoutSecrets(error: unknown): Error & { code?: string } {
    const first = error instanceof AggregateError ? (error.errors[0] as unknown) : error;
    const code = codeOf(first) ?? codeOf(error);
    const said = first instanceof Error && first.message !== '' ? first.message : (code ?? 'an unnamed error');
    const copy = new Error(this.#hide(said));
    if (first instanceof Error && first.stack !== undefined) copy.stack = this.#hide(first.stack);
    return code === undefined ? copy : Object.assign(copy, { code });
  }

  #hide(text: string): string {
    return this.#secrets.reduce((hidden, secret) => hidden.replaceAll(secret, '***'), text);
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

function howToReach(code: string): string {
  if (code.startsWith('28'))
    return 'look at user and password of `registry`, PGPASSWORD or .pgpass, and at pg_hba.conf';
  if (code.startsWith('3D')) return 'create the database';
  if (code === '53300') return 'raise max_connections, or end what holds its connections';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'look at the host of `registry`, and at name resolution';
  if (code === '25P03') return 'this process did nothing for too long in the middle of a transaction';
  if (code.startsWith('57P')) return 'the server is starting or stopping: wait for it';
  return 'look whether the server runs there and the network lets this machine in';
}

function howToMend(code: string): string {
  if (code === '55P03') return 'another transaction holds the lock of the writers: find and end it in pg_stat_activity';
  if (code === '25006') return 'this server takes no writes: name the primary in `registry`';
  if (code === '42501') return 'let the user of `registry` create and use tables in its schema';
  if (code === '53100') return 'free space on its disk';
  if (code === '57014') return 'a statement took too long or was cancelled: look for what keeps the database busy';
  return 'look at the log of the server';
}
