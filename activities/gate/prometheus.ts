/**
 * Asks Prometheus. Whatever goes wrong comes back as an answer of kind `failed` with one line of text for people; it
 * never holds what the server sent as a page, nor the user name and password that the address may carry.
 */
import axios, { AxiosError, type AxiosResponse } from 'axios';
import { z } from 'zod';
import { formatDuration } from '../../policies/model/duration.js';
import type { Answer, AnswerSeries } from '../../policies/gate/sample.js';

export interface PrometheusOptions {
  /** Base address, with the path prefix if Prometheus has one. */
  url: string;
  /** For the whole answer, not for silence between bytes. Ms. */
  timeout?: number;
  /** A larger answer is cut off while it arrives. */
  maxBytes?: number;
}

export interface Prometheus {
  /** Evaluates `query` at `at` (epoch ms). Rejects only with the reason of `signal`. */
  ask(query: string, at: number, signal: AbortSignal): Promise<Answer>;
}

const DEFAULT_TIMEOUT = 10_000;
const DEFAULT_MAX_BYTES = 16 * 1024 * 1024;

export function createPrometheus(options: PrometheusOptions): Prometheus {
  const { url, timeout = DEFAULT_TIMEOUT, maxBytes = DEFAULT_MAX_BYTES } = options;
  return {
    async ask(query, at, signal) {
      const patience = AbortSignal.timeout(timeout);
      try {
        const both = AbortSignal.any([signal, patience]);
        return named(url, read(await post(url, { query, at, timeout, maxBytes, signal: both })));
      } catch (error) {
        signal.throwIfAborted();
        const what = patience.aborted ? `no answer within ${formatDuration(timeout)}` : explain(error, maxBytes);
        return named(url, failed(what));
      }
    },
  };
}

interface Request {
  query: string;
  at: number;
  timeout: number;
  maxBytes: number;
  signal: AbortSignal;
}

/** POST, because a query naming thousands of sites does not fit into an address. */
function post(url: string, request: Request): Promise<AxiosResponse<string>> {
  const form = new URLSearchParams({
    query: request.query,
    time: (request.at / 1000).toFixed(3),
    timeout: formatDuration(request.timeout),
  });
  return axios.post<string>(`${url.replace(/\/+$/, '')}/api/v1/query`, form, {
    signal: request.signal,
    maxContentLength: request.maxBytes,
    // A small compressed answer must not become a large one here.
    decompress: false,
    headers: { accept: 'application/json', 'accept-encoding': 'identity' },
    // A redirected POST turns into a GET of something else.
    maxRedirects: 0,
    responseType: 'text',
    transformResponse: (raw: string) => raw,
    validateStatus: () => true,
  });
}

const timed = z.tuple([z.number(), z.union([z.string(), z.null()])]);
const series = z.object({ metric: z.record(z.string(), z.string()), value: timed.optional() });
const Success = z.object({
  status: z.literal('success'),
  warnings: z.array(z.string()).optional(),
  /** VictoriaMetrics' word for the same. */
  isPartial: z.boolean().optional(),
  data: z.discriminatedUnion('resultType', [
    z.object({ resultType: z.literal('vector'), result: z.array(series) }),
    z.object({ resultType: z.literal('scalar'), result: timed }),
  ]),
});
const Failure = z.object({ status: z.literal('error'), errorType: z.string(), error: z.string() });

function read(response: AxiosResponse<string>): Answer {
  const body = parsed(response.data);
  const failure = Failure.safeParse(body);
  if (failure.success) return failed(`${failure.data.errorType}: ${oneLine(failure.data.error)}`);
  if (response.status !== 200) return failed(`HTTP status ${response.status}`);
  if (body === undefined) return failed(`expected JSON, got ${contentType(response)}`);
  const success = Success.safeParse(body);
  if (!success.success) return failed('expected a vector or a scalar, got another answer');
  const { data, warnings, isPartial } = success.data;
  // With a warning the answer may be partial (remote storage or a querier was missing): a partial figure is none.
  if (warnings?.length) return failed(`warning: ${oneLine(warnings.join('; '))}`);
  if (isPartial) return failed('the answer is marked as partial');
  if (data.resultType === 'scalar')
    return { kind: 'series', series: [{ labels: {}, value: numberOf(data.result[1]) }] };
  return { kind: 'series', series: data.result.map(seriesOf) };
}

/** A series with a histogram in place of a value has no number to judge. */
function seriesOf(one: z.infer<typeof series>): AnswerSeries {
  return { labels: one.metric, value: numberOf(one.value?.[1] ?? null) };
}

/** As Prometheus writes numbers; anything else is null. `Number` alone would read an empty text as 0. */
function numberOf(text: string | null): number | null {
  if (text === null) return null;
  const infinite = /^([+-]?)Inf$/.exec(text);
  if (infinite) return infinite[1] === '-' ? -Infinity : Infinity;
  if (text === 'NaN') return NaN;
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : null;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function explain(error: unknown, maxBytes: number): string {
  if (!(error instanceof AxiosError)) return 'the request could not be made';
  if (error.message.startsWith('maxContentLength')) return `the answer is larger than ${maxBytes} bytes`;
  return `not reached (${error.code ?? 'no code'})`;
}

function contentType(response: AxiosResponse<string>): string {
  const type: unknown = response.headers['content-type'];
  return typeof type === 'string' ? oneLine(type) : 'no content type';
}

function oneLine(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length > 200 ? `${line.slice(0, 200)}…` : line;
}

function named(url: string, answer: Answer): Answer {
  return answer.kind === 'failed' ? failed(`${answer.detail}, from ${origin(url)}`) : answer;
}

function origin(url: string): string {
  return /^https?:/.test(url) && URL.canParse(url) ? new URL(url).origin : 'an address that is not http(s)://…';
}

function failed(detail: string): Answer {
  return { kind: 'failed', detail };
}
