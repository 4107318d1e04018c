// Walks the listings of a bucket that the SDK has no paginator for: versions with delete markers, and unfinished uploads.
import {
  type DeleteMarkerEntry,
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
  type ListObjectVersionsCommandOutput,
  ListPartsCommand,
  type ObjectVersion,
} from '@aws-sdk/client-s3';
import { Temporal } from 'temporal-polyfill';
import { CoffreError } from '../errors.ts';
import { s3CodeOf } from './s3-errors.ts';
import type { S3Requests } from './s3-requests.ts';
import type { ListedUpload, ListedVersion } from './vault.ts';

/** The most a store gives in one answer. */
export const LARGEST_PAGE = 1_000;

type Entry = ObjectVersion | DeleteMarkerEntry;

const keyOf = (entry: Entry): string => entry.Key ?? '';
const timeOf = (entry: Entry): number => entry.LastModified?.getTime() ?? 0;

/** Keys are listed in the order of their UTF-8 bytes, which JavaScript's own comparison is not. */
function compareKeys(a: string, b: string): number {
  return a === b ? 0 : Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** Newest first within one key: the SDK parts versions and markers into two lists and loses how they lay together. */
function compareEntries(a: Entry, b: Entry): number {
  return compareKeys(keyOf(a), keyOf(b)) || Number(b.IsLatest ?? false) - Number(a.IsLatest ?? false) || timeOf(b) - timeOf(a);
}

function wentBack(requests: S3Requests, doing: string): CoffreError {
  return new CoffreError('E_VAULT_IO', `vault ${requests.config.name}: ${doing}: the store's listing does not advance`);
}

/**
 * Takes the markers of each next page and throws E_VAULT_IO when there is none, or one that was there before: each page has a deadline,
 * but a store that goes round in a circle would be asked for ever. (That markers grow is not asked: Ceph 16 sorts uploads in its own way.)
 */
function advancing(requests: S3Requests, doing: string): (key: string | undefined, within?: string) => void {
  const seen = new Set<string>();
  return (key, within = '') => {
    const marker = `${key}\0${within}`;
    if (!key || seen.has(marker)) throw wentBack(requests, doing);
    seen.add(marker);
  };
}

interface VersionsPage extends ListObjectVersionsCommandOutput {
  /** The key after which this page begins. */
  readonly after: string | undefined;
}

/** The pages of a listing of versions. No EncodingType: Ceph 16 encodes the keys but not NextKeyMarker, so that a key with a percent sign came twice. */
async function* versionPages(
  requests: S3Requests,
  doing: string,
  what: { readonly Prefix: string; readonly Delimiter?: string },
  pageSize: number,
): AsyncGenerator<VersionsPage> {
  let KeyMarker: string | undefined;
  let VersionIdMarker: string | undefined;
  const advance = advancing(requests, doing);
  while (true) {
    const input = { Bucket: requests.bucket, ...what, MaxKeys: pageSize, KeyMarker, VersionIdMarker };
    const page = await requests.call(doing, { repeat: true }, (abortSignal) =>
      requests.reader.send(new ListObjectVersionsCommand(input), { abortSignal }),
    );
    yield { ...page, after: KeyMarker };
    if (!page.IsTruncated) return;
    advance(page.NextKeyMarker, page.NextVersionIdMarker);
    KeyMarker = page.NextKeyMarker;
    VersionIdMarker = page.NextVersionIdMarker;
  }
}

/** All versions and delete markers below `prefix`, in key order, newest version of a key first. */
export async function* listVersions(requests: S3Requests, prefix: string, pageSize: number): AsyncGenerator<ListedVersion> {
  const doing = `list ${prefix}`;
  for await (const page of versionPages(requests, doing, { Prefix: requests.fullKey(prefix) }, pageSize)) {
    const markers = new Set<Entry>(page.DeleteMarkers ?? []);
    // Within one answer sort() is stable, so versions with equal times keep the store's order.
    const entries: Entry[] = [...(page.Versions ?? []), ...markers].sort(compareEntries);
    const [first] = entries;
    if (first && page.after !== undefined && compareKeys(keyOf(first), page.after) < 0) throw wentBack(requests, doing);
    for (const entry of entries) {
      const isDeleteMarker = markers.has(entry);
      yield {
        key: requests.vaultKey(keyOf(entry)),
        versionId: entry.VersionId ?? 'null',
        sizeBytes: isDeleteMarker ? 0 : ((entry as ObjectVersion).Size ?? 0),
        isDeleteMarker,
        isLatest: entry.IsLatest ?? false,
        modifiedAt: Temporal.Instant.fromEpochMilliseconds(timeOf(entry)),
      };
    }
  }
}

/** Folders and objects right below the vault's prefix, those too of which only delete markers are left. */
export async function* listNames(requests: S3Requests, pageSize: number): AsyncGenerator<string> {
  const what = { Prefix: requests.fullKey(''), Delimiter: '/' };
  let last = '';
  for await (const page of versionPages(requests, 'list folders', what, pageSize)) {
    const folders = (page.CommonPrefixes ?? []).map(({ Prefix = '' }) => Prefix);
    const objects = [...(page.Versions ?? []), ...(page.DeleteMarkers ?? [])].map(keyOf);
    for (const key of [...folders, ...objects].sort(compareKeys)) {
      // versions of one object, and folders that Ceph tells of once more on the next page
      if (key !== last) yield requests.vaultKey(key);
      last = key;
    }
  }
}

/** Unfinished uploads below `prefix`, each with the bytes of the parts that the store holds. */
export async function* listUploads(requests: S3Requests, prefix: string, pageSize: number): AsyncGenerator<ListedUpload> {
  const doing = `list uploads ${prefix}`;
  let keyMarker: string | undefined;
  let uploadMarker: string | undefined;
  const advance = advancing(requests, doing);
  while (true) {
    const page = await requests.call(doing, { repeat: true }, (abortSignal) =>
      requests.reader.send(
        new ListMultipartUploadsCommand({
          Bucket: requests.bucket,
          Prefix: requests.fullKey(prefix),
          MaxUploads: pageSize,
          KeyMarker: keyMarker,
          UploadIdMarker: uploadMarker,
        }),
        { abortSignal },
      ),
    );
    for (const upload of page.Uploads ?? []) {
      const fullKey = upload.Key ?? '';
      // Ceph 16 compares the prefix with its own longer name of the upload, and so returns keys shorter than the prefix.
      if (!fullKey.startsWith(requests.fullKey(prefix))) continue;
      const uploadId = upload.UploadId ?? '';
      const sizeBytes = await partBytes(requests, fullKey, uploadId, pageSize);
      if (sizeBytes === null) continue;
      yield {
        key: requests.vaultKey(fullKey),
        uploadId,
        startedAt: Temporal.Instant.fromEpochMilliseconds(upload.Initiated?.getTime() ?? 0),
        sizeBytes,
      };
    }
    if (!page.IsTruncated) return;
    advance(page.NextKeyMarker, page.NextUploadIdMarker);
    keyMarker = page.NextKeyMarker;
    uploadMarker = page.NextUploadIdMarker;
  }
}

/** Sum of an upload's parts; null when the upload ended meanwhile. */
async function partBytes(requests: S3Requests, fullKey: string, uploadId: string, pageSize: number): Promise<number | null> {
  let sum = 0;
  let marker: string | undefined;
  const doing = `list parts of ${requests.vaultKey(fullKey)}`;
  const advance = advancing(requests, doing);
  while (true) {
    const page = await requests.call(doing, { repeat: true }, async (abortSignal) => {
      try {
        return await requests.reader.send(
          new ListPartsCommand({
            Bucket: requests.bucket,
            Key: fullKey,
            UploadId: uploadId,
            MaxParts: pageSize,
            PartNumberMarker: marker,
          }),
          { abortSignal },
        );
      } catch (error) {
        const code = s3CodeOf(error);
        // NoSuchKey is Ceph 16's word for an unknown upload.
        if (code === 'NoSuchUpload' || code === 'NoSuchKey') return null;
        throw error;
      }
    });
    if (page === null) return null;
    for (const part of page.Parts ?? []) sum += part.Size ?? 0;
    if (!page.IsTruncated) return sum;
    // a sum that stops short would be bytes that nobody counts
    advance(page.NextPartNumberMarker);
    marker = page.NextPartNumberMarker;
  }
}
