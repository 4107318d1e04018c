// Compares what a vault lists under a shop with what the catalog says it holds, and writes the difference down.
import { uploadVersion } from '../billing/entries.ts';
import type { Ledger } from '../billing/ledger.ts';
import { IS_LIVE } from '../catalog/live-objects.ts';
import type { Catalog } from '../catalog/open.ts';
import { type ObjectRow, recordDamagedObject, recordDamagedSegment, recordVerification } from '../catalog/snapshots.ts';
import type { ListedUpload, ListedVersion, Vault } from '../vault/vault.ts';

/** Something on a shop's keys that coffre did not put there, or did not take away. */
export interface Finding {
  readonly vault: string;
  readonly key: string;
  readonly versionId: string;
  readonly what: (typeof RECONCILED)[number];
  readonly sizeBytes: number;
  readonly detail?: string;
}

/** What a reconciliation finds, all of it each time. */
export const RECONCILED = ['foreign version', 'foreign upload', 'delete marker', 'missing', 'altered', 'reappeared'] as const;

export interface Reconciled {
  readonly findings: readonly Finding[];
  /** Versions of ours that are there, as the catalog knows them. */
  readonly present: readonly ObjectRow[];
  /** Versions and delete markers. */
  readonly versions: number;
  /** What the vault lists: versions and parts of uploads. */
  readonly storedBytes: number;
  /** Of these, what nobody can say yet whose it is, and the ledger therefore does not have. */
  readonly unsettledBytes: number;
}

/**
 * Lists everything under `<shop>/` in one vault. Call it while holding the shop's lock and after resolveIntents: then a version that
 * the catalog does not know is either one of ours that landed late, or somebody else's. Returns what points to tampering. `onLast` is
 * told beforehand of what no later call would find again: die after it, and it was said. Throws what the vault throws.
 */
export async function reconcile(
  catalog: Catalog,
  ledger: Ledger,
  vault: Vault,
  shop: string,
  signal?: AbortSignal,
  onLast: (finding: Finding) => Promise<void> = async () => {},
): Promise<Reconciled> {
  const findings: Finding[] = [];
  const note = async (finding: Finding): Promise<void> => {
    await onLast(finding);
    findings.push(finding);
  };
  const present: ObjectRow[] = [];
  let [versions, storedBytes, unsettledBytes] = [0, 0, 0];
  const prefix = `${shop}/`;
  const listed = new Map<string, ListedVersion>();
  for await (const version of vault.listVersions(prefix)) {
    signal?.throwIfAborted();
    versions++;
    storedBytes += version.sizeBytes;
    if (version.isDeleteMarker) findings.push({ ...named(vault, version), what: 'delete marker', sizeBytes: 0 });
    else listed.set(id(version.key, version.versionId), version);
  }
  const uploads = new Map<string, ListedUpload>();
  for await (const upload of vault.listUploads(prefix)) {
    uploads.set(id(upload.key, uploadVersion(upload.uploadId)), upload);
    storedBytes += upload.sizeBytes;
  }

  // read after the listing: nobody else writes for this shop, so what was listed and is not here was never acknowledged to us
  const live = await catalog.db
    .selectFrom('objects')
    .selectAll()
    .where('vault', '=', vault.name)
    .where('shop', '=', shop)
    .where(IS_LIVE)
    .execute();
  // a folder has one file for a key: where a sound copy took the place of a damaged one, we died before the old row said so
  const replaced = new Set(
    live.flatMap((row) =>
      vault.type === 'filesystem' && row.kind !== 'foreign' && listed.has(id(row.key, row.versionId ?? '')) ? [row.key] : [],
    ),
  );
  for (const row of live) {
    signal?.throwIfAborted();
    if (row.versionId === null) continue;
    const isUpload = row.versionId.startsWith(uploadVersion(''));
    const name = id(row.key, row.versionId);
    const sizeBytes = isUpload ? uploads.get(name)?.sizeBytes : listed.get(name)?.sizeBytes;
    listed.delete(name);
    if (sizeBytes !== undefined) {
      if (row.kind !== 'foreign') {
        if (!isUpload) present.push(row);
        if (isUpload || sizeBytes === row.sizeBytes || row.state === 'tombstone') continue;
        findings.push({ ...named(vault, row), what: 'altered', sizeBytes, detail: `${row.sizeBytes} bytes were written` });
        await recordDamagedObject(catalog, row, 'E_OBJECT_ALTERED');
        continue;
      }
      findings.push({ ...named(vault, row), what: isUpload ? 'foreign upload' : 'foreign version', sizeBytes: row.sizeBytes });
    } else if (isUpload) await ledger.vanished(row.id, 'the store lists this upload no more');
    // a listing may lag behind: only a second, direct question makes it missing
    else if ((await vault.stat(row.key, row.versionId)) === null) {
      // A tombstone is ours: we died between its deletion and its row. So is a probe's object, deleted by a probe under way.
      if (row.state === 'tombstone' || row.kind === 'probe') {
        // what a folder keeps beside an object goes after it, and may be there still; to a store this is nothing
        if (row.state === 'tombstone') await vault.deleteVersion(row.key, row.versionId).catch(() => {});
        await ledger.released(row.id, 'the store does not have it any more');
        continue;
      }
      if (row.kind !== 'foreign' && !replaced.has(row.key)) {
        // before its row says that it is gone: the next look would not miss it any more
        await note({ ...named(vault, row), what: 'missing', sizeBytes: row.sizeBytes });
        await markDamaged(catalog, row);
      }
      await ledger.vanished(row.id, 'the store does not have it any more');
    } else {
      present.push(row);
      storedBytes += row.sizeBytes;
    }
  }

  for (const version of listed.values()) {
    signal?.throwIfAborted();
    const rows = await rowsOf(catalog, vault, version.key);
    // still open: resolveIntents found it too young to settle, or it is another process's
    if (rows.some((row) => row.state === 'intent')) {
      unsettledBytes += version.sizeBytes;
      continue;
    }
    const object = await vault.stat(version.key, version.versionId);
    if (object === null) {
      // the listing lags behind
      storedBytes -= version.sizeBytes;
      continue;
    }
    const released = rows.find((row) => row.versionId === version.versionId);
    if (released) {
      const detail = 'its deletion had been confirmed, or it had been lost';
      const what = released.kind === 'foreign' ? 'foreign version' : 'reappeared';
      await note({ ...named(vault, version), what, sizeBytes: object.sizeBytes, ...(what === 'reappeared' && { detail }) });
      await ledger.reappeared(released.id, object);
      continue;
    }
    const streamed = rows.some((row) => row.kind === 'upload');
    const landedLate = rows.some((row) => row.state === 'void' && (streamed || row.expectedBytes === object.sizeBytes));
    const kind = landedLate ? 'stray' : 'foreign';
    await ledger.foundVersion({ vault: vault.name, shop, object, kind, cause: landedLate ? 'landed late' : 'not written by coffre' });
    if (!landedLate) findings.push({ ...named(vault, version), what: 'foreign version', sizeBytes: object.sizeBytes });
  }

  const metered = new Set(live.map((row) => id(row.key, row.versionId ?? '')));
  for (const [both, { key, uploadId, sizeBytes, startedAt }] of uploads) {
    const ours = (await rowsOf(catalog, vault, key)).find((row) => row.kind !== 'foreign') ?? null;
    await ledger.foundUpload({ vault: vault.name, shop, key, uploadId, sizeBytes, startedAt, ours });
    const versionId = uploadVersion(uploadId);
    if (!ours && !metered.has(both)) findings.push({ vault: vault.name, key, versionId, what: 'foreign upload', sizeBytes });
  }
  return { findings, present, versions, storedBytes, unsettledBytes };
}

const id = (key: string, versionId: string): string => `${key}\0${versionId}`;

function named(vault: Vault, row: { readonly key: string; readonly versionId: string | null }) {
  return { vault: vault.name, key: row.key, versionId: row.versionId ?? '' };
}

async function rowsOf(catalog: Catalog, vault: Vault, key: string): Promise<ObjectRow[]> {
  return await catalog.db.selectFrom('objects').selectAll().where('vault', '=', vault.name).where('key', '=', key).execute();
}

/** Every copy in this vault that needs a missing object is not good any more. */
async function markDamaged(catalog: Catalog, { refId, vault, kind }: ObjectRow): Promise<void> {
  if (refId === null) return;
  if (kind === 'segment') await recordDamagedSegment(catalog, vault, refId, 'E_OBJECT_MISSING');
  else await recordVerification(catalog, refId, vault, 0, 'E_OBJECT_MISSING');
}
