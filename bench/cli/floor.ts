/**
 * The least that any command over the registry does: a new process, the database opened, one query by an index.
 * `node floor.js FILE ROLLOUT`.
 */
import process from 'node:process';
import Libsql from 'libsql';

const [, , file = '', label = ''] = process.argv;
// Whoever filled the registry may let go of it only now: patient, as every reader is.
const database = new Libsql(file, { timeout: 5_000 });
const rows = database.prepare('select status from rollouts where label = ?').all(label);
database.close();
if (rows.length !== 1) process.exitCode = 1;
