#!/usr/bin/env node
/** `foothold`: the process around the program. */
import process from 'node:process';
import { processIo } from './io.js';
import { runProgram } from './program.js';

process.exitCode = await runProgram(process.argv.slice(2), processIo());
