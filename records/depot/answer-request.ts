/** One request to a depot: GET or HEAD of an object that a depot has by name, whole or one byte range of it. */
import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { ECHO_PATH } from '../../policies/model/echo.js';
import { sha256Hex } from '../../policies/signing/jcs.js';
import { judgeRange } from './judge-range.js';
import { routeOf, type Route } from './routes.js';
import { serveEcho } from './serve-echo.js';

/** What a log says of a request. `bytes` of content were handed to the connection. */
export interface Served {
  method: string;
  path: string;
  status: number;
  bytes: number;
}

/** Never throws: a client that goes away is no error of the server's. */
export async function answerRequest(root: string, request: IncomingMessage, response: ServerResponse): Promise<Served> {
  const { method = '', url = '' } = request;
  let bytes = 0;
  try {
    bytes = await answer(root, request, response);
  } catch {
    if (!response.headersSent) bytes = refuse(response, 500, 'this object could not be read');
    else response.destroy();
  }
  return { method, path: url, status: response.statusCode, bytes };
}

async function answer(root: string, request: IncomingMessage, response: ServerResponse): Promise<number> {
  if (request.method === 'POST' && request.url === ECHO_PATH) return serveEcho(request, response);
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('allow', 'GET, HEAD');
    return refuse(response, 405, 'a depot is read with GET and HEAD');
  }
  const route = routeOf(request.url ?? '');
  if (route === undefined) return refuse(response, 404, 'a depot has no such path');
  if (route.kind === 'health') return send(response, 200, { 'content-type': 'text/plain' }, 'ok\n', request.method);
  const file = await openObject(join(root, route.path));
  if (file === undefined) return refuse(response, 404, 'the depot does not have this object');
  try {
    return await sendFile(file, route, request, response);
  } finally {
    await file.close();
  }
}

/** Regular files only: a link in the directory does not lead out of it. */
async function openObject(path: string): Promise<FileHandle | undefined> {
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    if ((await file.stat()).isFile()) return file;
    await file.close();
    return undefined;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (['ENOENT', 'ENOTDIR', 'ELOOP', 'EISDIR'].includes(code)) return undefined;
    throw error;
  }
}

async function sendFile(
  file: FileHandle,
  route: Exclude<Route, { kind: 'health' }>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<number> {
  const { size } = await file.stat();
  const etag = `"${route.digest ?? `sha256:${sha256Hex(await readAll(file, size))}`}"`;
  const headers: OutgoingHttpHeaders = {
    etag,
    'accept-ranges': 'bytes',
    'cache-control': route.kind === 'listing' ? 'no-cache' : 'public, max-age=31536000, immutable',
  };
  if (isKnown(request.headers['if-none-match'], etag)) return send(response, 304, headers, '', 'HEAD');
  const ifRange = request.headers['if-range'];
  const wanted =
    request.method === 'GET' && (ifRange === undefined || ifRange === etag) ? request.headers.range : undefined;
  const range = judgeRange(wanted, size);
  if (range === 'unsatisfiable') {
    response.setHeader('content-range', `bytes */${size}`);
    return refuse(response, 416, `the object has ${size} bytes`);
  }
  const { start, end } = range ?? { start: 0, end: size - 1 };
  if (range) headers['content-range'] = `bytes ${start}-${end}/${size}`;
  headers['content-type'] = route.kind === 'blob' ? 'application/octet-stream' : 'application/json';
  headers['content-length'] = end - start + 1;
  response.writeHead(range ? 206 : 200, headers);
  if (request.method === 'HEAD' || size === 0) {
    response.end();
    return 0;
  }
  const content = file.createReadStream({ start, end, autoClose: false });
  // A client that stops reading stops the reading; one that goes away ends it.
  await pipeline(content, response).catch(() => undefined);
  return content.bytesRead;
}

/** Entries and listings are small; blobs and manifests are named by their digest. */
async function readAll(file: FileHandle, size: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(size), 0, size, 0);
  return buffer.subarray(0, bytesRead);
}

function isKnown(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  const known = header.split(',').map((one) => one.trim().replace(/^W\//, ''));
  return known.includes('*') || known.includes(etag);
}

function refuse(response: ServerResponse, status: number, message: string): number {
  const body = JSON.stringify({ error: { status, message } });
  return send(
    response,
    status,
    { 'content-type': 'application/json', 'cache-control': 'no-store' },
    body,
    response.req.method,
  );
}

function send(
  response: ServerResponse,
  status: number,
  headers: OutgoingHttpHeaders,
  body: string,
  method: string | undefined,
): number {
  const length = status === 304 ? {} : { 'content-length': Buffer.byteLength(body) };
  response.writeHead(status, { ...headers, ...length });
  response.end(method === 'HEAD' ? undefined : body);
  return method === 'HEAD' ? 0 : Buffer.byteLength(body);
}
