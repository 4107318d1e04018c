// Where a test file gets its bucket: one store for the whole test run, one fresh bucket for each caller, one independent client.
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import {
  AbortMultipartUploadCommand,
  CreateBucketCommand,
  DeleteBucketCommand,
  type DeleteMarkerEntry,
  DeleteObjectCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
  ListObjectVersionsCommand,
  type ListObjectVersionsCommandOutput,
  ListPartsCommand,
  type ListPartsCommandOutput,
  type ObjectVersion,
  PutBucketVersioningCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { inject } from 'vitest';
import { externalStore, type Store } from './store.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Loopback port of the broker in vitest's main process (global-setup.ts). */
    storeBroker: number;
  }
}

/** What the broker answers: the store, or why there is none. */
export type BrokerAnswer = { readonly store: Store } | { readonly error: string };

/** The store of this test run. The first call of the run starts it (Ceph: 8 s), all others share it. */
export async function sharedStore(): Promise<Store> {
  const external = externalStore();
  if (external) return external;
  const socket = connect(inject('storeBroker'), '127.0.0.1');
  const answer = JSON.parse(await text(socket)) as BrokerAnswer;
  if ('error' in answer) throw new Error(answer.error);
  return answer.store;
}

export interface Bucket {
  readonly name: string;
  readonly store: Store;
  /** A plain SDK client with the owner's rights (it may delete versions): the oracle, none of coffre's code. */
  readonly client: S3Client;
  /** Closes the client; in a store that outlives the run also removes what may be removed. */
  release(): Promise<void>;
}

export interface BucketOptions {
  /** Object Lock, and with it versioning. true by default. */
  readonly objectLock?: boolean;
  /** Versioning alone, when there is no Object Lock. false by default. */
  readonly versioning?: boolean;
}

/** Makes an empty bucket in the store of this run. */
export async function freshBucket(options: BucketOptions = {}): Promise<Bucket> {
  return makeBucket(await sharedStore(), options);
}

/** Makes an empty bucket in `store`: for demo and benches, which start their own. */
export async function makeBucket(store: Store, { objectLock = true, versioning = false }: BucketOptions = {}): Promise<Bucket> {
  const client = plainClient(store);
  const name = `coffre-test-${randomBytes(6).toString('hex')}`;
  await client.send(new CreateBucketCommand({ Bucket: name, ...(objectLock ? { ObjectLockEnabledForBucket: true } : {}) }));
  if (versioning && !objectLock) {
    await client.send(new PutBucketVersioningCommand({ Bucket: name, VersioningConfiguration: { Status: 'Enabled' } }));
  }
  return {
    name,
    store,
    client,
    async release() {
      if (store.kind === 'external') await emptyAndRemove(client, name);
      client.destroy();
    },
  };
}

/** An SDK client as its makers ship it, but for the checksum trailers that several stores refuse. */
export function plainClient(store: Pick<Store, 'endpoint' | 'region' | 'accessKey' | 'secretKey'>): S3Client {
  return new S3Client({
    endpoint: store.endpoint,
    region: store.region,
    forcePathStyle: true,
    credentials: { accessKeyId: store.accessKey, secretAccessKey: store.secretKey },
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
}

export interface InventoryVersion {
  readonly key: string;
  readonly versionId: string;
  readonly sizeBytes: number;
  readonly isLatest: boolean;
  readonly isDeleteMarker: boolean;
}

export interface Inventory {
  /** Every version and delete marker, in the store's order. */
  readonly versions: readonly InventoryVersion[];
  readonly uploads: readonly { readonly key: string; readonly uploadId: string; readonly sizeBytes: number }[];
  /** All versions plus all parts of unfinished uploads: what a store bills. */
  readonly totalBytes: number;
}

/** What the store holds under `prefix`, asked with the SDK alone: the oracle for `billing level` and for prune. */
export async function inventory(bucket: Pick<Bucket, 'client' | 'name'>, prefix = ''): Promise<Inventory> {
  const { client, name: Bucket } = bucket;
  const versions: InventoryVersion[] = [];
  const row = (it: ObjectVersion | DeleteMarkerEntry, isDeleteMarker: boolean): InventoryVersion => ({
    key: it.Key ?? '',
    versionId: it.VersionId ?? '',
    sizeBytes: ('Size' in it && it.Size) || 0,
    isLatest: it.IsLatest ?? false,
    isDeleteMarker,
  });
  for (let at: { KeyMarker?: string; VersionIdMarker?: string } | null = {}; at; ) {
    const page: ListObjectVersionsCommandOutput = await client.send(new ListObjectVersionsCommand({ Bucket, Prefix: prefix, ...at }));
    versions.push(...(page.Versions ?? []).map((it) => row(it, false)), ...(page.DeleteMarkers ?? []).map((it) => row(it, true)));
    at = page.IsTruncated ? markers({ KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker }) : null;
  }
  const uploads: { key: string; uploadId: string; sizeBytes: number }[] = [];
  for (let at: { KeyMarker?: string; UploadIdMarker?: string } | null = {}; at; ) {
    const page: ListMultipartUploadsCommandOutput = await client.send(new ListMultipartUploadsCommand({ Bucket, Prefix: prefix, ...at }));
    for (const { Key = '', UploadId = '' } of page.Uploads ?? []) {
      uploads.push({ key: Key, uploadId: UploadId, sizeBytes: await partBytes(client, Bucket, Key, UploadId) });
    }
    at = page.IsTruncated ? markers({ KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker }) : null;
  }
  const totalBytes = [...versions, ...uploads].reduce((sum, it) => sum + it.sizeBytes, 0);
  return { versions, uploads, totalBytes };
}

async function partBytes(client: S3Client, Bucket: string, Key: string, UploadId: string): Promise<number> {
  let sum = 0;
  for (let at: { PartNumberMarker?: string } | null = {}; at; ) {
    const page: ListPartsCommandOutput = await client.send(new ListPartsCommand({ Bucket, Key, UploadId, ...at }));
    for (const part of page.Parts ?? []) sum += part.Size ?? 0;
    at = page.IsTruncated ? markers({ PartNumberMarker: page.NextPartNumberMarker }) : null;
  }
  return sum;
}

/** Leaves out what the store did not give: an empty marker is refused. */
function markers<K extends string>(given: Record<K, string | undefined>): Partial<Record<K, string>> {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value)) as Partial<Record<K, string>>;
}

/** Best effort: locked versions stay, and their bucket with them. */
async function emptyAndRemove(client: S3Client, Bucket: string): Promise<void> {
  const { versions, uploads } = await inventory({ client, name: Bucket });
  const ignore = (): void => {};
  for (const { key: Key, versionId: VersionId } of versions) {
    await client.send(new DeleteObjectCommand({ Bucket, Key, VersionId, BypassGovernanceRetention: true })).catch(ignore);
  }
  for (const { key: Key, uploadId: UploadId } of uploads) {
    await client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId })).catch(ignore);
  }
  await client.send(new DeleteBucketCommand({ Bucket })).catch(ignore);
}
