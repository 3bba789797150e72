/** What a database has to be for the registry: where statements go, and whether it is one worker's alone. */
import type { Dialect } from 'kysely';

export interface Store {
  /** Names it to people: without user and password. */
  place: string;
  dialect: Dialect;
  /** Absent where several control workers may work at once. */
  alone?: {
    /** Holds the worker's lock until this process ends; false if another process holds it. */
    lock(): boolean;
    unlock(): void;
  };
}
