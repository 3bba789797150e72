/** One HTTP request and its whole answer, over a connection of its own: one kept alive tells of what was before. */
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { limited, wordsOf } from './limited.js';

export interface Question {
  address: string;
  method?: 'GET' | 'POST';
  body?: string;
  /** Bytes of the answer; a longer one is a failure. */
  most: number;
  timeout: number;
}

export type Answer = { status: number; text: string } | { failure: string };

export async function ask(question: Question, signal: AbortSignal): Promise<Answer> {
  const { address, method = 'GET', body = '', most, timeout } = question;
  const words = { late: { failure: `no answer within ${timeout} ms` }, unwanted: { failure: 'no longer wanted' } };
  return limited<Answer>(timeout, signal, words, (end) => {
    const fail = (failure: string) => end({ failure });
    if (!URL.canParse(address)) {
      fail(`expected an address, got ${address}`);
      return () => undefined;
    }
    const url = new URL(address);
    const request = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const headers = {
      connection: 'close',
      accept: 'text/plain;version=0.0.4, text/plain',
      ...(method === 'POST' ? { 'content-type': 'text/plain', 'content-length': Buffer.byteLength(body) } : {}),
    };
    const call = request(url, { agent: false, method, headers }, (answer) => {
      const chunks: Buffer[] = [];
      let length = 0;
      answer.on('data', (chunk: Buffer) => {
        length += chunk.length;
        if (length > most) fail(`an answer of more than ${most} bytes`);
        else chunks.push(chunk);
      });
      answer.on('end', () => end({ status: answer.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }));
      answer.on('error', (error) => fail(error.message));
      answer.on('aborted', () => fail('the answer was cut short'));
    });
    call.on('error', (error) => fail(wordsOf(error)));
    call.end(body);
    return () => call.destroy();
  });
}
