// One HTTP request to an address that people configured: with a deadline, no redirects, and little of the answer read.
import type { IncomingMessage, RequestOptions } from 'node:http';
import { type Clock, withDeadline } from '../clock.ts';
import { CoffreError } from '../errors.ts';

export interface HttpCall {
  readonly method: 'GET' | 'POST';
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

const WITHIN_MS = 20_000;

/**
 * Throws E_NOTIFY unless the answer is 2xx. Neither the address, which may hold a token, nor what was answered is in the message: a
 * host's name and a status are.
 */
export async function httpCall(clock: Clock, call: HttpCall, signal?: AbortSignal): Promise<void> {
  const url = URL.parse(call.url);
  if (url === null || !/^https?:$/.test(url.protocol)) throw new CoffreError('E_NOTIFY', 'the address is no http or https address');
  const { request } = url.protocol === 'https:' ? await import('node:https') : await import('node:http');
  const late = (): CoffreError => new CoffreError('E_NOTIFY', `${url.host} did not answer within ${WITHIN_MS / 1000} s`);
  const status = await withDeadline(clock, WITHIN_MS, late, (stop) => send(request, url, call, stop), signal);
  if (status < 200 || status > 299) throw new CoffreError('E_NOTIFY', `${url.host} answered with status ${status}`);
}

type Request = typeof import('node:http').request;

function send(request: Request, url: URL, { body, headers, method }: HttpCall, signal: AbortSignal): Promise<number> {
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException): void =>
      reject(new CoffreError('E_NOTIFY', `${url.host}: ${error.code ?? error.message}`, { cause: error }));
    const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
    const options: RequestOptions = { method, headers: { 'user-agent': 'coffre', ...headers, ...length }, agent: false, signal };
    const sent = request(url, options, (answer: IncomingMessage) => {
      // the status is all that counts: whoever sends for ever is left
      const { statusCode = 0 } = answer;
      answer.on('error', () => {});
      answer.destroy();
      resolve(statusCode);
    });
    sent.on('error', failed);
    sent.end(body);
  });
}
