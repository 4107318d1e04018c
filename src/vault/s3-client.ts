// Makes the S3 clients of a vault: portable settings, time limits, credentials read late, signatures dated by our clock.
import { createHash } from 'node:crypto';
import { S3Client } from '@aws-sdk/client-s3';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { type Clock, toDate } from '../clock.ts';
import type { S3VaultConfig, Secret } from '../config/config.ts';
import { CoffreError } from '../errors.ts';
import { InPlaceHttpAgent, InPlaceHttpsAgent } from './in-place-agent.ts';
import { HttpAgent, HttpsAgent } from './node-http.ts';

/** Free sockets close after this: stores close idle ones too, and a PUT sent into a closing one has an unknown outcome. */
const IDLE_SOCKET_MS = 4_000;
/** Then the file is read again, so that rotated credentials need no restart (the SDK asks five minutes before the end). */
const CREDENTIALS_KEPT_MS = 15 * 60_000;
const MAX_SOCKETS = 32;

interface Credentials {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string;
}

/** {accessKeyId, secretAccessKey[, sessionToken]} of a secret. Throws E_SECRET_MISSING; its message quotes nothing of it. */
function parseCredentials(secret: Secret): Credentials {
  const text = secret.read();
  let value: Partial<Record<keyof Credentials, unknown>> | null = null;
  try {
    value = JSON.parse(text);
  } catch {
    // JSON.parse quotes what it could not read: that would be the secret.
  }
  const { accessKeyId, secretAccessKey, sessionToken } = value ?? {};
  if (typeof accessKeyId !== 'string' || typeof secretAccessKey !== 'string' || !accessKeyId || !secretAccessKey) {
    throw new CoffreError('E_SECRET_MISSING', `${secret.from} is not JSON with accessKeyId and secretAccessKey`, {
      hint: 'write {"accessKeyId": "…", "secretAccessKey": "…"} into it',
    });
  }
  return { accessKeyId, secretAccessKey, ...(typeof sessionToken === 'string' ? { sessionToken } : {}) };
}

/**
 * A client with one attempt per call. `inactivityMs` is how long a socket may stay silent; 0 leaves that to the caller
 * (downloads: the socket cannot tell a stalled store from a consumer that takes its time).
 */
export function makeS3Client(config: S3VaultConfig, secret: Secret, clock: Clock, inactivityMs: number): S3Client {
  // an upload has no large answer
  const downloads = inactivityMs === 0;
  const sockets = { keepAlive: true, maxSockets: MAX_SOCKETS, timeout: IDLE_SOCKET_MS };
  const client = new S3Client({
    endpoint: config.endpoint,
    region: config.region,
    forcePathStyle: config.forcePathStyle,
    credentials: async () => ({
      ...parseCredentials(secret),
      expiration: toDate(clock.now().add({ milliseconds: CREDENTIALS_KEPT_MS })),
    }),
    maxAttempts: 1,
    // CRC trailers on streams (the SDK's default) are refused by several stores.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    followRegionRedirects: false,
    // By default the SDK learns the store's clock and signs with it, so that a wrong clock of ours stays unnoticed.
    // Lock dates are made from our clock: better that the store refuses us.
    disableClockSkewCorrection: true,
    requestHandler: new NodeHttpHandler({
      connectionTimeout: config.timeouts.connectMs,
      socketTimeout: inactivityMs,
      httpAgent: downloads ? new InPlaceHttpAgent(sockets) : new HttpAgent(sockets),
      httpsAgent: downloads ? new InPlaceHttpsAgent(sockets) : new HttpsAgent(sockets),
    }),
  });
  signWithClock(client, clock);
  contentMd5ForRetention(client);
  return client;
}

/** Signatures carry our clock's date, the one lock dates are made from: then the store itself notices when it is wrong. */
function signWithClock(client: S3Client, clock: Clock): void {
  const provideSigner = client.config.signer;
  client.config.signer = async (scheme) => {
    const signer = await provideSigner(scheme);
    return { sign: (request, options) => signer.sign(request, { ...options, signingDate: toDate(clock.now()) }) };
  };
}

/**
 * PutObjectRetention must carry a checksum and the SDK gives it a CRC32, which older stores do not know. Content-MD5 is
 * what all of them take, but it needs the serialized body, so it is computed here.
 */
function contentMd5ForRetention(client: S3Client): void {
  client.middlewareStack.add(
    (next, context) => async (args) => {
      const request = args.request as { headers: Record<string, string>; body?: unknown };
      if (context.commandName === 'PutObjectRetentionCommand' && (typeof request.body === 'string' || request.body instanceof Uint8Array)) {
        for (const header of Object.keys(request.headers)) {
          if (/^x-amz-(checksum-|sdk-checksum-)/i.test(header)) delete request.headers[header];
        }
        request.headers['content-md5'] = contentMd5(request.body);
      }
      return next(args);
    },
    { step: 'build', name: 'contentMd5ForRetention', priority: 'low' },
  );
}

/** The Content-MD5 header of a body: asked for by stores on every request that carries a lock. Not a security measure. */
export function contentMd5(body: string | Uint8Array): string {
  return createHash('md5').update(body).digest('base64');
}
