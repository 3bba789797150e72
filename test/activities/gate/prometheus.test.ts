import type { ServerResponse } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { createPrometheus } from '../../../activities/gate/prometheus.js';
import type { Answer } from '../../../policies/gate/sample.js';
import { listen, type Listener } from './stand.js';

const open: Listener[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()));
});

const never = new AbortController().signal;

async function ask(
  respond: (response: ServerResponse) => void,
  options: { timeout?: number; maxBytes?: number } = {},
): Promise<Answer> {
  const listener = await listen((_, response) => respond(response));
  open.push(listener);
  return createPrometheus({ url: listener.url, timeout: 2_000, ...options }).ask('up', 1_500, never);
}

const send =
  (body: unknown, status = 200, type = 'application/json') =>
  (response: ServerResponse) => {
    response.writeHead(status, { 'content-type': type });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  };
const vector = (result: unknown[], more = {}) => ({
  status: 'success',
  data: { resultType: 'vector', result },
  ...more,
});
const detailOf = (answer: Answer) => (answer.kind === 'failed' ? answer.detail : `answered ${JSON.stringify(answer)}`);

describe('ask', () => {
  it('posts the query with its time in seconds, below the path prefix', async () => {
    const asked: Record<string, unknown> = {};
    const listener = await listen((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        Object.assign(asked, {
          method: request.method,
          url: request.url,
          form: Object.fromEntries(new URLSearchParams(body)),
        });
        send(vector([]))(response);
      });
    });
    open.push(listener);
    const client = createPrometheus({ url: `${listener.url}/prefix/` });
    expect(await client.ask('up{site=~"a|b"}', 1_732_000_000_250, never)).toEqual({ kind: 'series', series: [] });
    expect(asked).toEqual({
      ...{ method: 'POST', url: '/prefix/api/v1/query' },
      form: { query: 'up{site=~"a|b"}', time: '1732000000.250', timeout: '10s' },
    });
  });

  it('reads vectors and scalars as Prometheus writes numbers', async () => {
    const values = ['0.5', '1e-05', '-3', 'NaN', '+Inf', '-Inf', null, '', 'twelve', ' '];
    const series = values.map((value, index) => ({ metric: { site: `s${index}` }, value: [1, value] }));
    const answer = await ask(send(vector([...series, { metric: {}, histogram: [1, {}] }])));
    const numbers = answer.kind === 'series' ? answer.series.map((one) => one.value) : [];
    expect(numbers).toEqual([0.5, 1e-5, -3, NaN, Infinity, -Infinity, null, null, null, null, null]);
    const scalar = { status: 'success', data: { resultType: 'scalar', result: [1, '7'] } };
    expect(await ask(send(scalar))).toEqual({ kind: 'series', series: [{ labels: {}, value: 7 }] });
  });
});

describe('ask, when the answer is none', () => {
  it.each<[string, (response: ServerResponse) => void, string]>([
    ['an HTML page', send('<html>sign in</html>', 200, 'text/html'), 'expected JSON, got text/html'],
    ['an HTML error page', send('<html>oops</html>', 502, 'text/html'), 'HTTP status 502'],
    ['an empty body', send('', 200), 'expected JSON'],
    ['half an answer', send('{"status":"success","data":{"resultType":"vector"'), 'expected JSON'],
    ['other JSON', send({ hello: 'world' }), 'expected a vector or a scalar'],
    [
      'a matrix',
      send({ status: 'success', data: { resultType: 'matrix', result: [] } }),
      'expected a vector or a scalar',
    ],
    [
      'an error of Prometheus',
      send({ status: 'error', errorType: 'bad_data', error: 'parse error' }, 400),
      'bad_data: parse error',
    ],
    [
      'an error with status 200',
      send({ status: 'error', errorType: 'timeout', error: 'too slow' }),
      'timeout: too slow',
    ],
    ['an answer with a status that is no success', send(vector([]), 503), 'HTTP status 503'],
    ['a redirect', (response) => void response.writeHead(302, { location: '/login' }).end(), 'HTTP status 302'],
    ['a partial answer', send(vector([], { warnings: ['store unreachable'] })), 'warning: store unreachable'],
    ['a partial answer of another kind', send(vector([], { isPartial: true })), 'marked as partial'],
    ['a hang-up', (response) => void response.destroy(), 'not reached (ECONNRESET)'],
  ])('[A31] [B6] %s is a failed query', async (_, respond, detail) => {
    expect(detailOf(await ask(respond))).toContain(detail);
  });
});

describe('ask, when Prometheus cannot be reached or talks too much', () => {
  it('[A31] a refused connection is a failed query', async () => {
    const listener = await listen(() => undefined);
    await listener.close();
    const answer = await createPrometheus({ url: listener.url }).ask('up', 0, never);
    expect(detailOf(answer)).toContain('not reached (ECONNREFUSED)');
  });

  it.each(['localhost:9090', 'ftp://example', 'nonsense', ''])(
    'an address such as %j is a failed query',
    async (url) => {
      expect(detailOf(await createPrometheus({ url }).ask('up', 0, never))).toContain('not http(s)');
    },
  );

  it('[A31] a silent server is a failed query after the timeout, and so is one that drips', async () => {
    expect(detailOf(await ask(() => undefined, { timeout: 100 }))).toContain('no answer within 100ms');
    const drip = (response: ServerResponse) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      const dripping = setInterval(() => response.write(' '), 20);
      response.on('close', () => clearInterval(dripping));
    };
    expect(detailOf(await ask(drip, { timeout: 200 }))).toContain('no answer within 200ms');
  });

  it('[A31] 50 MB are refused while they arrive, announced or not', async () => {
    const size = 50 * 1024 * 1024;
    for (const announced of [true, false]) {
      let sent = 0;
      const answer = await ask((response) => {
        response.writeHead(200, { 'content-type': 'application/json', ...(announced ? { 'content-length': size } : {}) });
        const chunk = Buffer.alloc(256 * 1024, ' ');
        const more = () => {
          while (sent < size && !response.destroyed) {
            sent += chunk.length;
            if (!response.write(chunk)) return;
          }
          response.end();
        };
        response.on('drain', more);
        more();
      }, { timeout: 10_000 }); // prettier-ignore
      expect(detailOf(answer)).toContain('larger than 16777216 bytes');
      expect(sent).toBeLessThan(size);
    }
  });
});

describe('ask, whatever happens', () => {
  it('never repeats a password or a page', async () => {
    const listener = await listen((_, response) => send('<html>secret-page</html>', 200, 'text/html')(response));
    open.push(listener);
    const withPassword = listener.url.replace('http://', 'http://user:hunter2@');
    for (const url of [withPassword, 'http://user:hunter2@127.0.0.1:1']) {
      const detail = detailOf(await createPrometheus({ url }).ask('up', 0, never));
      expect(detail).toContain('127.0.0.1');
      expect(detail).not.toMatch(/hunter2|user|secret-page/);
    }
  });

  it('ends with the reason of its signal when it is cancelled', async () => {
    const listener = await listen(() => undefined);
    open.push(listener);
    const controller = new AbortController();
    const asking = createPrometheus({ url: listener.url }).ask('up', 0, controller.signal);
    setTimeout(() => controller.abort(new Error('told to stop')), 50);
    await expect(asking).rejects.toThrow('told to stop');
  });
});
