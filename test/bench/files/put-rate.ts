// How fast the store takes bytes at all: objects of given sizes, PUT by the least client there can be. A process of its own, so that its time is its own.
// It signs without hashing the body (UNSIGNED-PAYLOAD) and computes no digest while it sends: nothing but the store is measured.
import { createHash, createHmac, randomFillSync } from 'node:crypto';
import { Agent, request } from 'node:http';
import { systemClock } from '../../../src/clock.ts';

/** From the environment, as JSON in COFFRE_PUT_ORDER: it holds a secret. */
export interface PutOrder {
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  readonly prefix: string;
  readonly accessKey: string;
  readonly secretKey: string;
  readonly sizes: readonly number[];
  readonly inFlight: number;
  /** RFC 3339; with it each PUT has Object Lock headers, and the Content-MD5 that they ask for. */
  readonly retainUntil: string | null;
}

/** On standard output. */
export interface PutResult {
  /** From the first request to the last answer. */
  readonly seconds: number;
  readonly bytes: number;
}

const agent = new Agent({ keepAlive: true });
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** AWS Signature Version 4 of a PUT, as its documentation has it. */
function signed(order: PutOrder, path: string, extra: Readonly<Record<string, string>>): Record<string, string> {
  const at = systemClock.now().toString({ smallestUnit: 'second' }).replaceAll(/[-:]/g, '');
  const day = at.slice(0, 8);
  const headers: Record<string, string> = {
    ...extra,
    host: new URL(order.endpoint).host,
    'x-amz-content-sha256': 'UNSIGNED-PAYLOAD',
    'x-amz-date': at,
  };
  const names = Object.keys(headers).sort();
  const list = names.join(';');
  const canonical = ['PUT', path, '', ...names.map((name) => `${name}:${headers[name]}`), '', list, 'UNSIGNED-PAYLOAD'].join('\n');
  const scope = `${day}/${order.region}/s3/aws4_request`;
  let key: Buffer | string = `AWS4${order.secretKey}`;
  for (const part of scope.split('/')) key = createHmac('sha256', key).update(part).digest();
  const signature = createHmac('sha256', key)
    .update(['AWS4-HMAC-SHA256', at, scope, sha256(canonical)].join('\n'))
    .digest('hex');
  headers.authorization = `AWS4-HMAC-SHA256 Credential=${order.accessKey}/${scope}, SignedHeaders=${list}, Signature=${signature}`;
  return headers;
}

function put(order: PutOrder, name: number, body: Buffer, md5: string): Promise<void> {
  const path = `/${order.bucket}/${order.prefix}/${name}`;
  const lock =
    order.retainUntil === null
      ? {}
      : { 'content-md5': md5, 'x-amz-object-lock-mode': 'GOVERNANCE', 'x-amz-object-lock-retain-until-date': order.retainUntil };
  return new Promise((resolve, reject) => {
    const headers = { ...signed(order, path, lock), 'content-length': body.length };
    const sending = request(`${order.endpoint}${path}`, { method: 'PUT', agent, headers }, (answer) => {
      let said = '';
      answer.setEncoding('utf8');
      answer.on('data', (chunk: string) => {
        said += chunk;
      });
      answer.once('error', reject);
      answer.once('end', () => (answer.statusCode === 200 ? resolve() : reject(new Error(`PUT ${path}: ${answer.statusCode} ${said}`))));
    });
    sending.once('error', reject);
    sending.end(body);
  });
}

const order = JSON.parse(process.env.COFFRE_PUT_ORDER ?? '') as PutOrder;
const noise = randomFillSync(Buffer.alloc(Math.max(...order.sizes)));
// what is sent is made before the clock runs
const digests = new Map<number, string>();
if (order.retainUntil !== null) {
  for (const size of order.sizes) digests.set(size, createHash('md5').update(noise.subarray(0, size)).digest('base64'));
}
const startedMs = systemClock.monotonicMs();
let next = 0;
await Promise.all(
  Array.from({ length: order.inFlight }, async () => {
    for (let name = next++; name < order.sizes.length; name = next++) {
      const size = order.sizes[name] as number;
      await put(order, name, noise.subarray(0, size), digests.get(size) ?? '');
    }
  }),
);
const result: PutResult = {
  seconds: (systemClock.monotonicMs() - startedMs) / 1000,
  bytes: order.sizes.reduce((sum, size) => sum + size, 0),
};
console.log(JSON.stringify(result));
agent.destroy();
