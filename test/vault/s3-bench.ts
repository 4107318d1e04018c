// An S3 vault over a fresh bucket of the rig's store, and the plain client that checks on it.
import { CreateMultipartUploadCommand, UploadPartCommand } from '@aws-sdk/client-s3';
import { type Clock, systemClock } from '../../src/clock.ts';
import type { S3VaultConfig, Secret } from '../../src/config/config.ts';
import { S3Vault } from '../../src/vault/s3.ts';
import { type Bucket, freshBucket, inventory } from '../servers/s3.ts';
import type { VaultBench } from './conformance.ts';

export function secretOf(accessKeyId: string, secretAccessKey: string): Secret {
  return { from: 'the test', read: () => JSON.stringify({ accessKeyId, secretAccessKey }) };
}

export function s3Config(bucket: Bucket, changes: Partial<S3VaultConfig> = {}): S3VaultConfig {
  return {
    name: 'offsite',
    type: 's3',
    endpoint: bucket.store.endpoint,
    region: bucket.store.region,
    bucket: bucket.name,
    prefix: 'prod',
    forcePathStyle: true,
    media: 'object',
    site: null,
    offsite: true,
    lock: { mode: 'COMPLIANCE' },
    credentials: secretOf(bucket.store.accessKey, bucket.store.secretKey),
    pruneCredentials: null,
    readCredentials: null,
    timeouts: { connectMs: 3_000, requestMs: 30_000 },
    uploadBytesPerSecond: null,
    ...changes,
  };
}

export const vaultOn = (bucket: Bucket, changes: Partial<S3VaultConfig> = {}, clock: Clock = systemClock): S3Vault =>
  new S3Vault(s3Config(bucket, changes), clock);

export async function s3Bench(changes: Partial<S3VaultConfig> = {}): Promise<VaultBench> {
  const bucket = await freshBucket();
  const vault = vaultOn(bucket, changes);
  const smallPages = new S3Vault(s3Config(bucket, changes), systemClock, { pageSize: 7 });
  return {
    vault,
    smallPages,
    async heldBytes() {
      return (await inventory(bucket)).totalBytes;
    },
    async leaveUnfinished(key, bytes) {
      const target = { Bucket: bucket.name, Key: `prod/${key}` };
      const { UploadId } = await bucket.client.send(new CreateMultipartUploadCommand(target));
      await bucket.client.send(new UploadPartCommand({ ...target, UploadId, PartNumber: 1, Body: bytes }));
    },
    async release() {
      await vault.close();
      await vault.close();
      await smallPages.close();
      await bucket.release();
    },
  };
}

/** The system's clock, moved. */
export function movedClock(byMs: number): Clock {
  return {
    ...systemClock,
    now: () => systemClock.now().add({ milliseconds: byMs }),
    nowMs: () => systemClock.nowMs() + byMs,
  };
}
