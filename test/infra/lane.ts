/**
 * Loaded before every file that runs beside others: each worker has ports of its own, and so has every process that it
 * starts. A port is chosen some time before a server listens on it, and is silent while a server is down.
 */
import process from 'node:process';

const FIRST = 15_000;
/** Four parts of what infra/dev/ports.ts gives; the first is for who runs beside the workers. */
const WIDTH = 4_250;

const worker = Number(process.env['VITEST_POOL_ID']);
if (!(worker >= 1 && worker <= 3)) throw new Error(`expected one of three workers, got ${worker}: ports are for three`);
process.env['FOOTHOLD_PORTS'] = `${FIRST + worker * WIDTH}-${FIRST + (worker + 1) * WIDTH - 1}`;
