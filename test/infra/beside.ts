/** Loaded before every file that runs beside the workers of `integration`: the part of the ports that lane.ts leaves. */
import process from 'node:process';

process.env['FOOTHOLD_PORTS'] = '15000-19249';
