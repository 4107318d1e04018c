// What an S3 store says of a bucket as a whole: whether it can lock, and what time it is there.
import { GetBucketVersioningCommand, GetObjectLockConfigurationCommand, HeadBucketCommand } from '@aws-sdk/client-s3';
import type { Temporal } from 'temporal-polyfill';
import { parseHttpDate } from '../clock.ts';
import { CoffreError } from '../errors.ts';
import { s3CodeOf, statusOf } from './s3-errors.ts';
import type { S3Requests } from './s3-requests.ts';

export interface BucketLockState {
  readonly objectLock: boolean;
  readonly versioning: boolean;
  /** Printable default retention of the bucket, which would also lock objects that we leave unlocked; null: none. */
  readonly defaultRetention: string | null;
}

/** Whether the bucket can lock at all. Throws E_BUCKET_MISSING; a bucket without Object Lock is an answer, not an error. */
export async function bucketLockState(requests: S3Requests): Promise<BucketLockState> {
  const versioning = await requests.call('read versioning', { repeat: true }, (abortSignal) =>
    requests.reader.send(new GetBucketVersioningCommand({ Bucket: requests.bucket }), { abortSignal }),
  );
  const configuration = await requests.call('read object lock', { repeat: true }, async (abortSignal) => {
    try {
      const answer = await requests.reader.send(new GetObjectLockConfigurationCommand({ Bucket: requests.bucket }), { abortSignal });
      return answer.ObjectLockConfiguration ?? null;
    } catch (error) {
      const code = s3CodeOf(error);
      if (code !== null && /ObjectLockConfiguration|NotImplemented|MethodNotAllowed/.test(code)) return null;
      if (statusOf(error) === 501) return null;
      throw error;
    }
  });
  const rule = configuration?.Rule?.DefaultRetention;
  return {
    objectLock: configuration?.ObjectLockEnabled === 'Enabled',
    versioning: versioning.Status === 'Enabled',
    defaultRetention: rule?.Mode ? `${rule.Mode} ${rule.Days ? `${rule.Days} days` : `${rule.Years ?? '?'} years`}` : null,
  };
}

/** The Date header of an answer, also of a refusal: a skewed clock is refused and yet learns the store's time. */
export async function serverTime(requests: S3Requests): Promise<Temporal.Instant> {
  let header: string | undefined;
  const command = new HeadBucketCommand({ Bucket: requests.bucket });
  command.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args);
      header = (result.response as { headers?: Record<string, string> } | undefined)?.headers?.date;
      return result;
    },
    // Low: nearer to the wire than the step that turns a refusal into an exception.
    { step: 'deserialize', priority: 'low', name: 'readDateHeader' },
  );
  await requests
    .call('read the time', {}, (abortSignal) => requests.reader.send(command, { abortSignal }))
    .catch((error: unknown) => {
      if (header === undefined) throw error;
    });
  const time = parseHttpDate(header ?? '');
  if (time === null) throw new CoffreError('E_VAULT_IO', `vault ${requests.config.name}: its answers carry no date`);
  return time;
}
