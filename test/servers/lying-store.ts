// An HTTP gateway before a real S3 store that tells lies on demand: it reads each request, lets the store do the work, and answers as told.
import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import type { S3Client } from '@aws-sdk/client-s3';
import { systemClock } from '../../src/clock.ts';

/** Named as in S3's own documentation. */
export type Operation =
  | 'PutObject'
  | 'UploadPart'
  | 'CreateMultipartUpload'
  | 'CompleteMultipartUpload'
  | 'AbortMultipartUpload'
  | 'PutObjectRetention'
  | 'GetObjectRetention'
  | 'HeadObject'
  | 'GetObject'
  | 'DeleteObject'
  | 'ListObjectVersions'
  | 'ListMultipartUploads'
  | 'ListParts'
  | 'other';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

/** One request, before the store has seen it. */
export interface Call {
  readonly operation: Operation;
  readonly bucket: string;
  /** Within the bucket; of a listing its prefix. */
  readonly key: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  /** The socket from the client. */
  readonly socket: Socket;
  readonly response: ServerResponse;
  body(): Promise<Buffer>;
  /** Has the store do it; the request is passed on as it came, signature and all. */
  forward(): Promise<Answer>;
  answer(answer: Answer): void;
}

export interface Lie {
  readonly on: Operation | readonly Operation[];
  /** Of the key. */
  readonly key?: RegExp;
  /** How often; then the truth is told. Always by default. */
  readonly times?: number;
  readonly tell: (call: Call) => Promise<void> | void;
}

export interface LyingStore {
  readonly endpoint: string;
  /** From now on this is told of what is in the bucket, instead of what was before; nothing: the truth. Connections that hang are cut. */
  lie(bucket: string, ...lies: readonly Lie[]): void;
  /** How many lies were told in the bucket since the last `lie`. */
  told(bucket: string): number;
  stop(): Promise<void>;
}

export async function startLyingStore(endpoint: string): Promise<LyingStore> {
  const behind = new URL(endpoint);
  const lies = new Map<string, { readonly lie: Lie; left: number; told: number }[]>();
  /** Of calls that a lie left without an answer. */
  const hanging = new Map<string, Set<Socket>>();

  const handle = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(incoming.url ?? '/', behind);
    const [, bucket = '', ...rest] = url.pathname.split('/');
    const query = url.searchParams;
    const path = decodeURIComponent(rest.join('/'));
    const operation = operationOf(incoming.method ?? '', path, query);
    const key = path === '' ? (query.get('prefix') ?? '') : path;
    const chosen = lies
      .get(bucket)
      ?.find(({ lie, left }) => left > 0 && [lie.on].flat().includes(operation) && (lie.key === undefined || lie.key.test(key)));
    if (chosen === undefined) {
      pass(behind, incoming, response);
      return;
    }
    chosen.left--;
    chosen.told++;
    let read: Promise<Buffer> | null = null;
    const body = (): Promise<Buffer> => {
      read ??= buffer(incoming);
      return read;
    };
    await chosen.lie.tell({
      operation,
      bucket,
      key,
      query,
      headers: incoming.headers,
      socket: incoming.socket,
      response,
      body,
      forward: async () => forwarded(behind, incoming, await body()),
      answer: ({ status, headers, body: content }) => {
        response.writeHead(status, dropUndefined(headers));
        response.end(content);
      },
    });
    if (!response.writableEnded && !incoming.socket.destroyed) {
      const held = hanging.get(bucket) ?? new Set();
      hanging.set(bucket, held.add(incoming.socket));
    }
  };

  const server = createServer({ keepAliveTimeout: 60_000 }, (incoming, response) => {
    incoming.on('error', () => {});
    response.on('error', () => {});
    handle(incoming, response).catch(() => incoming.socket.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    lie(bucket, ...told) {
      lies.set(
        bucket,
        told.map((lie) => ({ lie, left: lie.times ?? Number.POSITIVE_INFINITY, told: 0 })),
      );
      for (const socket of hanging.get(bucket) ?? []) socket.destroy();
      hanging.delete(bucket);
    },
    told: (bucket) => (lies.get(bucket) ?? []).reduce((sum, { told }) => sum + told, 0),
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

function operationOf(method: string, path: string, query: URLSearchParams): Operation {
  if (path === '') {
    if (method !== 'GET') return 'other';
    return query.has('versions') ? 'ListObjectVersions' : query.has('uploads') ? 'ListMultipartUploads' : 'other';
  }
  if (query.has('retention')) return method === 'PUT' ? 'PutObjectRetention' : 'GetObjectRetention';
  if (method === 'POST') return query.has('uploads') ? 'CreateMultipartUpload' : 'CompleteMultipartUpload';
  const inUpload = query.has('uploadId');
  if (method === 'PUT') return inUpload ? 'UploadPart' : 'PutObject';
  if (method === 'DELETE') return inUpload ? 'AbortMultipartUpload' : 'DeleteObject';
  if (method === 'GET') return inUpload ? 'ListParts' : 'GetObject';
  return method === 'HEAD' ? 'HeadObject' : 'other';
}

function pass(behind: URL, incoming: IncomingMessage, response: ServerResponse): void {
  const { method, headers, url } = incoming;
  const passed = httpRequest({ host: behind.hostname, port: behind.port, method, path: url, headers }, (given) => {
    response.writeHead(given.statusCode ?? 502, given.headers);
    given.pipe(response);
    given.once('error', () => response.destroy());
  });
  passed.once('error', () => response.destroy());
  response.once('close', () => passed.destroy());
  incoming.pipe(passed);
}

async function forwarded(behind: URL, { method, headers, url }: IncomingMessage, body: Buffer): Promise<Answer> {
  const passed = httpRequest({ host: behind.hostname, port: behind.port, method, path: url, headers });
  passed.end(body);
  const [given] = (await once(passed, 'response')) as [IncomingMessage];
  return { status: given.statusCode ?? 502, headers: given.headers, body: await buffer(given) };
}

function dropUndefined(headers: Answer['headers']): Record<string, string | string[]> {
  return Object.fromEntries(Object.entries(headers).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
}

// What can be told. Each is the body of a `tell`.

const xml = (text: string): Buffer => Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>${text}`);

/** Refuses in the store's words, and does nothing. */
export function refuses(status: number, code: string): Lie['tell'] {
  return async (call) => {
    await call.body();
    const body = xml(`<Error><Code>${code}</Code><Message>told so by a test</Message></Error>`);
    call.answer({ status, headers: { 'content-type': 'application/xml' }, body: call.operation === 'HeadObject' ? Buffer.alloc(0) : body });
  };
}

/** Cuts the connection; `done`: after the store has done it. */
export function resets(done: boolean): Lie['tell'] {
  return async (call) => {
    await call.body();
    if (done) await call.forward();
    call.socket.resetAndDestroy();
  };
}

/** Takes the request and never answers; `done`: although the store has done it. */
export function hangs(done = false): Lie['tell'] {
  return async (call) => {
    if (done) await call.forward();
    else call.response.req.resume();
  };
}

/** Takes nothing of the body any more, and never answers: a store that is full and waits for room. */
export const takesNothing: Lie['tell'] = () => {};

/** Begins to answer, and falls silent (or ends: `cut`) in the middle of the body. */
export function breaksOff(how: 'silent' | 'cut'): Lie['tell'] {
  return async (call) => {
    const { body, headers, status } = await call.forward();
    call.response.writeHead(status, dropUndefined(headers));
    call.response.write(body.subarray(0, Math.floor(body.length / 2)), () => {
      if (how === 'cut') call.socket.end(() => call.socket.destroy());
    });
  };
}

/** Answers byte by byte. */
export const drips: Lie['tell'] = async (call) => {
  const { body, headers, status } = await call.forward();
  call.response.writeHead(status, dropUndefined(headers));
  for (let at = 0; at < body.length && !call.socket.destroyed; at += 4) {
    call.response.write(body.subarray(at, at + 4));
    await systemClock.sleep(100);
  }
  call.response.end();
};

/** Says yes in the store's words and does nothing. */
export const pretends: Lie['tell'] = async (call) => {
  const body = await call.body();
  const etag = `"${'0'.repeat(32)}"`;
  const headers = { etag, 'x-amz-version-id': 'madeUpByATest0123456789abcdefghi' };
  if (call.operation === 'CompleteMultipartUpload') {
    const said = `<CompleteMultipartUploadResult><Bucket>${call.bucket}</Bucket><Key>${call.key}</Key><ETag>${etag}</ETag></CompleteMultipartUploadResult>`;
    call.answer({ status: 200, headers: { ...headers, 'content-type': 'application/xml' }, body: xml(said) });
  } else
    call.answer({ status: call.operation === 'DeleteObject' ? 204 : 200, headers: body.length > 0 ? headers : {}, body: Buffer.alloc(0) });
};

/** Status 200, and in the body that it failed; `done`: although it did not. */
export function failsInside(done: boolean): Lie['tell'] {
  return async (call) => {
    await call.body();
    if (done) await call.forward();
    const body = xml('<Error><Code>InternalError</Code><Message>We encountered an internal error. Please try again.</Message></Error>');
    call.answer({ status: 200, headers: { 'content-type': 'application/xml' }, body });
  };
}

/** Does it, and answers with other headers; null takes one away. */
export function says(changes: Readonly<Record<string, string | null>>): Lie['tell'] {
  return async (call) => {
    const { body, headers, status } = await call.forward();
    const changed = { ...headers };
    for (const [name, value] of Object.entries(changes)) {
      if (value === null) delete changed[name];
      else changed[name] = value;
    }
    call.answer({ status, headers: changed, body });
  };
}

/** Does it, and answers with another body of its own making, its length said rightly. */
export function answersWith(make: (body: Buffer, call: Call) => Buffer | Promise<Buffer>): Lie['tell'] {
  return async (call) => {
    const { body, headers, status } = await call.forward();
    const other = await make(body, call);
    const own = { 'content-length': String(other.length), 'transfer-encoding': undefined, etag: undefined };
    call.answer({ status, headers: { ...headers, ...own }, body: other });
  };
}

/** Stores it by the hand of another client that asks for no lock. */
export function dropsLock(client: S3Client): Lie['tell'] {
  return async (call) => {
    const { PutObjectCommand } = await import('@aws-sdk/client-s3');
    const { ETag, VersionId } = await client.send(new PutObjectCommand({ Bucket: call.bucket, Key: call.key, Body: await call.body() }));
    call.answer({ status: 200, headers: { etag: ETag, 'x-amz-version-id': VersionId }, body: Buffer.alloc(0) });
  };
}

/** Gives the answers of an earlier time: what each such request was answered first, again and again. */
export function lags(): Lie['tell'] {
  const first = new Map<string, Promise<Answer>>();
  return async (call) => {
    const name = `${call.operation} ${call.query}`;
    if (!first.has(name)) first.set(name, call.forward());
    else await call.body();
    call.answer((await first.get(name)) as Answer);
  };
}
