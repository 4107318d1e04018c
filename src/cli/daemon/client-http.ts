// Requests to the daemon's API: over its unix socket, or over TCP with a token. JSON in, JSON or server-sent events out, errors as ours.
import type { ClientRequest, IncomingMessage, RequestOptions } from 'node:http';
import type { Clock } from '../../clock.ts';
import { CoffreError, ERRORS, type ErrorCode } from '../../errors.ts';
import { httpRequest as plainRequest, httpsRequest as tlsRequest } from '../../vault/node-http.ts';

/** Where a daemon is. */
export type DaemonAddress =
  /** The caller is who the kernel says. */
  | { readonly socketPath: string }
  | {
      readonly url: URL;
      readonly token: string /** PEM of the authority that signed its certificate; null: those that Node trusts. */;
      readonly ca: string | null;
    };

export interface DaemonRequest {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** From the root, with its query: `/v1/runs?limit=20`. */
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** A daemon answers at once: work is done in runs. */
const ANSWER_WITHIN_MS = 30_000;
/** Documents of the API come in pages. */
const LARGEST_ANSWER = 64 * 1024 * 1024;

/** What OpenSSL says of an answer in plain http: words that tell nobody what it is. */
const NO_TLS = /wrong version number|packet length too long/i;

/** Failures to reach it are E_DAEMON_UNREACHABLE; what it refuses keeps its code, message and hint. */
export class DaemonHttp {
  readonly #address: DaemonAddress;
  readonly #clock: Clock;
  readonly #headers: Readonly<Record<string, string>>;

  /** `headers` go with every request. */
  constructor(address: DaemonAddress, clock: Clock, headers: Readonly<Record<string, string>> = {}) {
    this.#address = address;
    this.#headers = headers;
    this.#clock = clock;
  }

  /** Printable: `/run/coffre/coffre.sock`, `https://backup.example.net`. */
  get where(): string {
    return 'url' in this.#address ? this.#address.url.origin : this.#address.socketPath;
  }

  /** The JSON of the answer, null of an empty one. Throws E_DAEMON_UNREACHABLE, E_DAEMON_VERSION, the daemon's own error, the signal's reason. */
  async json(request: DaemonRequest): Promise<unknown> {
    const response = await this.#send(request);
    const text = await this.#text(response, request.signal);
    if (!isGood(response)) throw this.#refusal(response, text);
    if (text === '') return null;
    try {
      return JSON.parse(text) as unknown;
    } catch {
      throw this.#notOurs(`${request.path} answered what is no JSON`);
    }
  }

  /** The answer as it comes, for as long as it comes. Throws as `json` does. */
  async stream(request: DaemonRequest): Promise<IncomingMessage> {
    const response = await this.#send({ ...request, headers: { accept: 'text/event-stream', ...request.headers } });
    if (!isGood(response)) throw this.#refusal(response, await this.#text(response, request.signal));
    return response;
  }

  #send(request: DaemonRequest): Promise<IncomingMessage> {
    const { signal, body } = request;
    signal?.throwIfAborted();
    return new Promise((resolve, reject) => {
      const outgoing = this.#open(request);
      const timer = this.#clock.after(ANSWER_WITHIN_MS, () =>
        outgoing.destroy(this.#unreachable(`no answer within ${ANSWER_WITHIN_MS / 1000} s`)),
      );
      const onAbort = (): void => void outgoing.destroy(signal?.reason);
      signal?.addEventListener('abort', onAbort, { once: true });
      const settled = (): void => {
        timer.cancel();
        signal?.removeEventListener('abort', onAbort);
      };
      outgoing.once('response', (response) => {
        settled();
        resolve(response);
      });
      outgoing.on('error', (error: NodeJS.ErrnoException) => {
        settled();
        if (signal?.aborted) reject(signal.reason);
        else reject(error instanceof CoffreError ? error : this.#notReached(error));
      });
      outgoing.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  #open({ method = 'GET', path, body, headers = {} }: DaemonRequest): ClientRequest {
    const options: RequestOptions = {
      method,
      // one request, one connection: nothing is left open that would keep the process
      agent: false,
      headers: {
        accept: 'application/json',
        ...this.#headers,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
    };
    if ('socketPath' in this.#address) return plainRequest({ ...options, socketPath: this.#address.socketPath, path, host: 'localhost' });
    const { url, token, ca } = this.#address;
    const target = new URL(url.pathname.replace(/\/$/, '') + path, url);
    const withToken = { ...options, headers: { ...options.headers, authorization: `Bearer ${token}` } };
    return target.protocol === 'https:'
      ? tlsRequest(target, { ...withToken, ...(ca === null ? {} : { ca }) })
      : plainRequest(target, withToken);
  }

  async #text(response: IncomingMessage, signal: AbortSignal | undefined): Promise<string> {
    const timer = this.#clock.after(ANSWER_WITHIN_MS, () => response.destroy(this.#unreachable('its answer does not end')));
    const onAbort = (): void => void response.destroy(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    const chunks: Buffer[] = [];
    let size = 0;
    try {
      for await (const chunk of response as AsyncIterable<Buffer>) {
        size += chunk.length;
        if (size > LARGEST_ANSWER) throw this.#notOurs('the answer is too large');
        chunks.push(chunk);
      }
    } catch (error) {
      signal?.throwIfAborted();
      throw error instanceof CoffreError ? error : this.#unreachable('the answer was cut off', error);
    } finally {
      timer.cancel();
      signal?.removeEventListener('abort', onAbort);
    }
    return Buffer.concat(chunks).toString('utf8');
  }

  /** problem+json (RFC 9457) with the code of our table. */
  #refusal(response: IncomingMessage, text: string): CoffreError {
    let problem: { readonly code?: unknown; readonly detail?: unknown; readonly title?: unknown; readonly hint?: unknown } = {};
    try {
      problem = (JSON.parse(text) ?? {}) as typeof problem;
    } catch {
      // somebody between us and the daemon answered
    }
    const { code, detail, title, hint } = problem;
    const message = [detail, title].find((said) => typeof said === 'string' && said !== '') as string | undefined;
    if (typeof code !== 'string' || !Object.hasOwn(ERRORS, code)) {
      return this.#notOurs(`status ${response.statusCode}${message === undefined ? '' : `: ${message}`}`);
    }
    return new CoffreError(code as ErrorCode, message ?? ERRORS[code as ErrorCode].means, typeof hint === 'string' ? { hint } : {});
  }

  #unreachable(why: string, cause?: unknown): CoffreError {
    return new CoffreError('E_DAEMON_UNREACHABLE', `the daemon at ${this.where} does not answer: ${why}`, { cause });
  }

  #notReached(error: NodeJS.ErrnoException): CoffreError {
    if (!NO_TLS.test(error.message)) return this.#unreachable(error.code ?? error.message, error);
    return new CoffreError('E_DAEMON_UNREACHABLE', `${this.where} answers, and speaks no TLS`, {
      cause: error,
      hint: 'write http:// in the URL, or give the daemon a certificate (listen.tls); a token over plain http can be read on its way',
    });
  }

  #notOurs(what: string): CoffreError {
    return new CoffreError('E_DAEMON_VERSION', `${this.where}: ${what}`, {
      hint: 'it is another version of coffre, or something else answers there',
    });
  }
}

const isGood = ({ statusCode = 0 }: IncomingMessage): boolean => statusCode >= 200 && statusCode < 300;
