/** Logs: JSON lines on standard error, so that standard output stays free for documents. */
import { pino, type Logger } from 'pino';

export type Log = Logger;

export function openLog(name: string): Log {
  const level = process.env['FOOTHOLD_LOG'] ?? 'info';
  return pino({ name, level, redact: ['*.privateKey', '*.secret', '*.password', '*.token'] }, pino.destination(2));
}
