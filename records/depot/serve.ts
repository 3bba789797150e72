/** A depot directory over HTTP: for sites, which fetch by digest and resume where a link broke (design §2). */
import { stat } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { resolve } from 'node:path';
import { MistakeError, WorldError } from '../../policies/model/failure.js';
import { answerRequest, type Served } from './answer-request.js';

export interface DepotServer {
  /** Base URL with a slash at its end. */
  url: string;
  port: number;
  /** Since the start: requests answered, and bytes of content sent. */
  counted(): { requests: number; bytes: number };
  /** Takes no new connection, gives open transfers a second, and ends. A second call does nothing. */
  close(): Promise<void>;
}

export interface ServeOptions {
  host: string;
  /** 0 takes a free one. */
  port: number;
  /** After each answer, for a log. */
  onServed?: (served: Served) => void;
}

/** A client that neither sends nor takes a byte for this long is let go: it resumes by range. */
const IDLE_MS = 60_000;
const HEADERS_MS = 10_000;
const CLOSE_MS = 1_000;

/** Throws MistakeError FILE_NOT_FOUND (no such directory), WorldError PORT_IN_USE (cannot listen there). */
export async function serveDepot(directory: string, options: ServeOptions): Promise<DepotServer> {
  const root = resolve(directory);
  await refuseNoDirectory(root);
  const count = { requests: 0, bytes: 0 };
  const server = createServer((request, response) => {
    void answerRequest(root, request, response).then((served) => {
      count.requests += 1;
      count.bytes += served.bytes;
      options.onServed?.(served);
    });
  });
  server.headersTimeout = HEADERS_MS;
  server.requestTimeout = HEADERS_MS;
  server.setTimeout(IDLE_MS);
  const port = await listen(server, options);
  const host = options.host.includes(':') ? `[${options.host}]` : options.host;
  return { url: `http://${host}:${port}/`, port, counted: () => ({ ...count }), close: () => close(server) };
}

async function refuseNoDirectory(root: string): Promise<void> {
  const found = await stat(root).catch(() => undefined);
  if (found?.isDirectory()) return;
  throw new MistakeError('FILE_NOT_FOUND', `expected a depot directory at ${root}, there is none; publish makes one`);
}

async function listen(server: Server, { host, port }: ServeOptions): Promise<number> {
  await new Promise<void>((listening, failed) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const words = error.code === 'EADDRINUSE' ? 'another process listens there' : error.message;
      failed(new WorldError('PORT_IN_USE', `expected to listen on ${host}:${port}: ${words}; choose another address`));
    });
    server.listen(port, host, listening);
  });
  return (server.address() as AddressInfo).port;
}

async function close(server: Server): Promise<void> {
  if (!server.listening) return;
  const late = setTimeout(() => server.closeAllConnections(), CLOSE_MS);
  try {
    await new Promise<void>((closed, failed) => {
      server.close((error) => (error ? failed(error) : closed()));
      server.closeIdleConnections();
    });
  } finally {
    clearTimeout(late);
  }
}
