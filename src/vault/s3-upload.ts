// Uploads a stream of any length through lib-storage, which cuts it into parts, with our own hands on every request it sends.
import { Readable } from 'node:stream';
import {
  CompleteMultipartUploadCommand,
  type CompleteMultipartUploadCommandOutput,
  CreateMultipartUploadCommand,
  PutObjectCommand,
  type PutObjectCommandOutput,
  type S3Client,
  UploadPartCommand,
  type UploadPartCommandOutput,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { CoffreError } from '../errors.ts';
import { READ_RETRY, retrying } from './retry.ts';
import { contentMd5 } from './s3-client.ts';
import { vaultError } from './s3-errors.ts';
import { lockHeaders, type S3Lock, type S3Requests } from './s3-requests.ts';
import { untilAborted } from './until-aborted.ts';
import type { PutStreamRequest } from './vault.ts';

const MIB = 1024 * 1024;
/** S3's own limit. */
const MAX_PARTS = 10_000;
const SMALLEST_PART = 8 * MIB;
/** For streams of unknown length: room for 160 GB. */
const UNKNOWN_LENGTH_PART = 16 * MIB;

export interface PartPlan {
  readonly partBytes: number;
  /** Parts in flight together. */
  readonly queue: number;
}

/**
 * Part size and how many at once for a stream of about `estimatedBytes` (0 or less: unknown). Pure.
 * Memory is (queue + 2) parts, the two being the one that fills and its copy: 40 MiB up to 80 GB, 48 MiB up to 150 GB.
 * An estimate that is 8 % too low still fits, and any stream below 80 GB fits whatever was estimated. Beyond 150 GB in one
 * file memory follows the limit of 10,000 parts: 0.33 GB for 1 TB.
 */
export function planParts(estimatedBytes: number): PartPlan {
  if (!(estimatedBytes > 0)) return { partBytes: UNKNOWN_LENGTH_PART, queue: 1 };
  const partBytes = Math.max(SMALLEST_PART, Math.ceil((estimatedBytes * 1.08) / MAX_PARTS / MIB) * MIB);
  return { partBytes, queue: Math.max(1, Math.floor((48 * MIB) / partBytes) - 2 - (partBytes === SMALLEST_PART ? 1 : 0)) };
}

/**
 * Uploads `request.body` and returns the version id. A stream that fits one part becomes one PUT and has no upload id.
 * On any failure the upload is aborted, and this returns only when that abort was answered (or failed: then the upload
 * stays in the listing, for prune). Throws vault codes, or what the body threw.
 */
export async function uploadStream(requests: S3Requests, request: PutStreamRequest, lock: S3Lock | null): Promise<string> {
  const { key } = request;
  const plan = planParts(request.estimatedBytes);
  // Stops everything still in flight as soon as one thing fails: lib-storage would go on reading and sending.
  const stop = new AbortController();
  const signal = request.signal ? AbortSignal.any([request.signal, stop.signal]) : stop.signal;
  let uploadId: string | null = null;
  let acknowledgedBytes = 0;
  let firstError: unknown;
  let reported: Promise<void> = Promise.resolve();

  const sendPut = async (command: PutObjectCommand): Promise<PutObjectCommandOutput> => {
    const body = command.input.Body as Buffer;
    command.input.ContentMD5 = contentMd5(body);
    return await requests.sendPut(`put ${key}`, command, body.length, { signal, held: request.held });
  };
  const sendCreate = async (command: CreateMultipartUploadCommand) => {
    // Not stopped by any signal: an upload whose id never reached us could not be aborted. One that an attempt began although its answer
    // was lost has no parts, and the listing tells prune of it.
    const answer = await requests.call(`start upload of ${key}`, { repeat: true }, (abortSignal) =>
      requests.writer.send(command, { abortSignal }),
    );
    uploadId = answer.UploadId ?? null;
    if (uploadId === null) throw new CoffreError('E_VAULT_IO', `vault ${requests.config.name}: upload of ${key}: no upload id`);
    await request.onUpload?.(uploadId);
    return answer;
  };
  const sendPart = async (command: UploadPartCommand): Promise<UploadPartCommandOutput> => {
    const body = command.input.Body as Buffer;
    command.input.ContentMD5 = contentMd5(body);
    // Repeating a part is safe, unlike repeating a PUT: the same number with the same bytes replaces itself.
    const answer = await retrying(
      requests.clock,
      READ_RETRY,
      () => requests.sendPart(`part ${command.input.PartNumber} of ${key}`, command, body.length, { signal, held: request.held }),
      signal,
    );
    acknowledgedBytes += body.length;
    const sum = acknowledgedBytes;
    // One after the other, so that the sums only ever grow for whoever keeps them.
    reported = reported.then(() => request.onParts?.(sum));
    await reported;
    return answer;
  };
  const sendComplete = async (command: CompleteMultipartUploadCommand): Promise<CompleteMultipartUploadCommandOutput> =>
    // The store joins the parts before it answers: as long as it would take to send them is not too long.
    await requests.call(`complete ${key}`, { bytes: acknowledgedBytes, signal }, (abortSignal) =>
      requests.writer.send(command, { abortSignal }),
    );

  const send = async (command: unknown): Promise<unknown> => {
    try {
      if (firstError !== undefined) throw firstError;
      if (command instanceof PutObjectCommand) return await sendPut(command);
      if (command instanceof CreateMultipartUploadCommand) return await sendCreate(command);
      if (command instanceof UploadPartCommand) return await sendPart(command);
      if (command instanceof CompleteMultipartUploadCommand) return await sendComplete(command);
      throw new CoffreError('E_INTERNAL', 'lib-storage sent a request that coffre does not know');
    } catch (error) {
      fail(error);
      throw error;
    }
  };
  const fail = (error: unknown): void => {
    firstError ??= error;
    stop.abort(firstError);
  };

  const body = Readable.from(untilAborted(request.body, signal, fail), { highWaterMark: 1 });
  const upload = new Upload({
    // Everything lib-storage asks of a client, except that each request goes through `send`.
    client: Object.create(requests.writer, { send: { value: send } }) as S3Client,
    params: { Bucket: requests.bucket, Key: requests.fullKey(key), Body: body, ...lockHeaders(lock) },
    partSize: plan.partBytes,
    queueSize: plan.queue,
    // We abort ourselves, after the last part in flight has ended: done() can reject before its own abort is sent.
    leavePartsOnError: true,
  });
  try {
    const done = (await upload.done()) as { VersionId?: string };
    if (!done.VersionId) {
      throw new CoffreError('E_NO_OBJECT_LOCK', `vault ${requests.config.name}: upload of ${key}: the store gave no version id`);
    }
    return done.VersionId;
  } catch (error) {
    body.destroy();
    if (uploadId !== null) await requests.abortUpload(key, uploadId).catch(() => {});
    throw vaultError(firstError ?? error, requests.config.name, `upload of ${key}`);
  }
}
