// Compares what a vault lists under a shop with what the catalog says it holds, and writes the difference down.
import { uploadId, uploadVersion } from '../billing/entries.ts';
import type { Ledger } from '../billing/ledger.ts';
import { IS_LIVE } from '../catalog/live-objects.ts';
import type { Catalog } from '../catalog/open.ts';
import { type ObjectRow, recordDamagedSegment, recordVerification } from '../catalog/snapshots.ts';
import type { ListedVersion, Vault } from '../vault/vault.ts';

/** Something on a shop's keys that coffre did not put there, or did not take away. */
export interface Finding {
  readonly vault: string;
  readonly key: string;
  readonly versionId: string;
  readonly what: 'foreign version' | 'foreign upload' | 'delete marker' | 'missing';
  readonly sizeBytes: number;
}

/**
 * Lists everything under `<shop>/` in one vault. Call it while holding the shop's lock and after resolveIntents: then a version that
 * the catalog does not know is either one of ours that landed late, or somebody else's. Returns what points to tampering. Throws
 * what the vault throws.
 */
export async function reconcile(catalog: Catalog, ledger: Ledger, vault: Vault, shop: string, signal?: AbortSignal): Promise<Finding[]> {
  const findings: Finding[] = [];
  const prefix = `${shop}/`;
  const listed = new Map<string, ListedVersion>();
  for await (const version of vault.listVersions(prefix)) {
    signal?.throwIfAborted();
    if (version.isDeleteMarker) findings.push({ ...name(vault, version), what: 'delete marker', sizeBytes: 0 });
    else listed.set(id(version.key, version.versionId), version);
  }
  const uploads = new Map<string, number>();
  for await (const upload of vault.listUploads(prefix)) {
    uploads.set(id(upload.key, uploadVersion(upload.uploadId)), upload.sizeBytes);
  }

  // read after the listing: nobody else writes for this shop, so what was listed and is not here was never acknowledged to us
  const live = await catalog.db
    .selectFrom('objects')
    .selectAll()
    .where('vault', '=', vault.name)
    .where('shop', '=', shop)
    .where(IS_LIVE)
    .execute();
  for (const row of live) {
    signal?.throwIfAborted();
    if (row.versionId === null) continue;
    const isUpload = row.versionId.startsWith(uploadVersion(''));
    const isThere = isUpload ? uploads.has(id(row.key, row.versionId)) : listed.delete(id(row.key, row.versionId));
    if (isThere) {
      if (row.kind !== 'foreign') continue;
      findings.push({ ...name(vault, row), what: isUpload ? 'foreign upload' : 'foreign version', sizeBytes: row.sizeBytes });
    } else if (isUpload) await ledger.vanished(row.id, 'the store lists this upload no more');
    // a listing may lag behind: only a second, direct question makes it missing
    else if ((await vault.stat(row.key, row.versionId)) === null) {
      // A tombstone is ours: we died between its deletion and its row. So is a probe's object, deleted by a probe under way.
      if (row.state === 'tombstone' || row.kind === 'probe') {
        await ledger.released(row.id, 'the store does not have it any more');
        continue;
      }
      await ledger.vanished(row.id, 'the store does not have it any more');
      if (row.kind === 'foreign') continue;
      findings.push({ ...name(vault, row), what: 'missing', sizeBytes: row.sizeBytes });
      await markDamaged(catalog, row);
    }
  }

  for (const version of listed.values()) {
    signal?.throwIfAborted();
    const rows = await rowsOf(catalog, vault, version.key);
    // still open: resolveIntents found it too young to settle, or it is another process's
    if (rows.some((row) => row.state === 'intent')) continue;
    const object = await vault.stat(version.key, version.versionId);
    if (object === null) continue;
    const released = rows.find((row) => row.versionId === version.versionId);
    if (released) {
      await ledger.reappeared(released.id, object);
      continue;
    }
    const streamed = rows.some((row) => row.kind === 'upload');
    const landedLate = rows.some((row) => row.state === 'void' && (streamed || row.expectedBytes === object.sizeBytes));
    const kind = landedLate ? 'stray' : 'foreign';
    await ledger.foundVersion({ vault: vault.name, shop, object, kind, cause: landedLate ? 'landed late' : 'not written by coffre' });
    if (!landedLate) findings.push({ ...name(vault, version), what: 'foreign version', sizeBytes: object.sizeBytes });
  }

  const metered = new Set(live.map((row) => id(row.key, row.versionId ?? '')));
  for (const [both, sizeBytes] of uploads) {
    const [key = '', versionId = ''] = both.split('\0');
    const ours = (await rowsOf(catalog, vault, key)).find((row) => row.kind !== 'foreign') ?? null;
    await ledger.foundUpload({ vault: vault.name, shop, key, uploadId: uploadId(versionId), sizeBytes, ours });
    if (!ours && !metered.has(both)) findings.push({ vault: vault.name, key, versionId, what: 'foreign upload', sizeBytes });
  }
  return findings;
}

const id = (key: string, versionId: string): string => `${key}\0${versionId}`;

function name(vault: Vault, row: { readonly key: string; readonly versionId: string | null }) {
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
