/** `foothold`: the process around the program. */
import process from 'node:process';
import { processIo } from './io.js';
import { runProgram } from './program.js';

// Not awaited at the top level: in the bundle, a command's part would wait for this one to end, and this one for it.
void runProgram(process.argv.slice(2), processIo()).then((exit) => {
  process.exitCode = exit;
});
