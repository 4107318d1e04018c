// The commit of a snapshot into a vault that lacked it: index, then a manifest of that vault's own, then the catalog's row.
import { createHash, type KeyObject } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import type { Catalog } from '../catalog/open.ts';
import { recordCopy, type SnapshotWithCopies, snapshotSegments } from '../catalog/snapshots.ts';
import { CoffreError } from '../errors.ts';
import type { LockNeed } from '../retention/horizon.ts';
import { manifestKey } from '../segment/layout.ts';
import { decodeManifest, encodeManifest, signManifest, verifyManifest } from '../segment/manifest.ts';
import type { Manifest } from '../segment/manifest-types.ts';
import { seal } from '../segment/seal.ts';
import { lockText, writeDurably } from './commit.ts';
import type { CopySources } from './copy-sources.ts';
import { type PlaceContext, type PlacedObject, type PlaceOptions, placeObject } from './place-object.ts';
import { catchUpPath, manifestCopyPath } from './state-files.ts';

export interface CommitCopyInput {
  readonly place: PlaceContext;
  readonly sources: CopySources;
  readonly snapshot: SnapshotWithCopies;
  /** As another vault holds it: readManifestCopy. */
  readonly manifest: Manifest;
  /** Of every segment, by id, in this vault. */
  readonly segments: ReadonlyMap<string, PlacedObject>;
  readonly need: LockNeed;
  readonly options: PlaceOptions;
  readonly signingKey: KeyObject;
  /** The manifest is in the vault, the row is not yet in the catalog. */
  readonly onManifest: () => void;
}

/**
 * A signed manifest of the snapshot in any vault, whose signature holds and which says what the catalog says: from our own copies, since
 * the daemon cannot open what is in the vaults. Throws E_STATE when there is none, else what is wrong with the first.
 */
export async function readManifestCopy(catalog: Catalog, snapshot: SnapshotWithCopies, trusted: readonly string[]): Promise<Manifest> {
  let first: unknown = null;
  for (const { vault } of snapshot.copies) {
    try {
      const manifest = await ownCopy(catalog, snapshot, vault, trusted);
      if (manifest !== null) return manifest;
    } catch (error) {
      first ??= error;
    }
  }
  throw (
    first ??
    new CoffreError('E_STATE', `the state directory has no manifest of snapshot ${snapshot.id}`, {
      hint: 'move stateDir aside, then coffre catalog rebuild --from VAULT writes it anew',
    })
  );
}

async function ownCopy(
  catalog: Catalog,
  snapshot: SnapshotWithCopies,
  vault: string,
  trusted: readonly string[],
): Promise<Manifest | null> {
  const path = manifestCopyPath(catalog.stateDir, snapshot.shop, snapshot.id, vault);
  const plaintext = await readIfThere(path);
  if (plaintext === null) return null;
  const signed = decodeManifest(plaintext, path);
  verifyManifest(signed, trusted, path);
  const { manifest } = signed;
  const known = await snapshotSegments(catalog, snapshot.id);
  const agrees =
    manifest.snapshot === snapshot.id &&
    manifest.shop === snapshot.shop &&
    manifest.vault === vault &&
    known.length === manifest.segments.length &&
    known.every((row, i) => {
      const said = manifest.segments[i];
      return said?.id === row.id && said.key === row.key && said.storedSha256 === row.storedSha256 && said.storedBytes === row.storedBytes;
    });
  if (!agrees) throw new CoffreError('E_OBJECT_ALTERED', `${path}: manifest and catalog differ about ${snapshot.id}`);
  return manifest;
}

/**
 * A machine that was rebuilt from one vault does not know what another holds. A manifest there that the catalog has never seen may be ours, which
 * only who can open it tells: nothing is written beside it. Throws E_VERSION_FOREIGN.
 */
export async function refuseUnknownManifest(place: PlaceContext, snapshot: string, manifest: Manifest): Promise<void> {
  const { catalog, listing, shop, vault } = place;
  const key = manifestKey(shop, snapshot, manifest.encryption !== 'none');
  const listed = (listing.get(key) ?? []).filter((version) => !version.isDeleteMarker);
  if (listed.length === 0) return;
  const rows = await catalog.db
    .selectFrom('objects')
    .select(['versionId', 'state', 'kind', 'refId'])
    .where('vault', '=', vault.name)
    .where('key', '=', key)
    .execute();
  // landed a moment ago
  if (rows.some((row) => row.state === 'intent')) return;
  // a folder has one file for a key: where ours was, what lies there was written over it
  if (vault.type === 'filesystem' && rows.some((row) => row.kind === 'manifest' && row.refId === snapshot && row.versionId !== null))
    return;
  if (listed.every((version) => rows.some((row) => row.versionId === version.versionId))) return;
  throw new CoffreError('E_VERSION_FOREIGN', `${vault.name}: ${key} is there, and the catalog does not know it`, {
    hint: `coffre catalog rebuild --from ${vault.name} tells whether it is ours, and takes it up`,
  });
}

/**
 * Crash order: the manifest's sealed bytes are kept here before they leave, so that a manifest which reached the vault is known again by its
 * hash; after it our own copy; after that the catalog's row, with which the snapshot is in this vault. What a copy replaces there becomes a
 * stray in the same transaction.
 */
export async function commitCopy(input: CommitCopyInput): Promise<{ readonly manifest: PlacedObject; readonly index: PlacedObject }> {
  const { manifest, need, place, segments, snapshot, sources } = input;
  const { catalog, clock, vault } = place;
  const { shop, id } = snapshot;
  const encrypted = manifest.encryption !== 'none';
  const { key, storedBytes, storedSha256 } = manifest.index;
  const wantedIndex = { key, kind: 'index' as const, refId: id, storedBytes, storedSha256 };
  const index = await placeObject(place, wantedIndex, need, input.options, (store) => sources.give(vault.name, wantedIndex, store));

  const { lock: _, revision: __, ...same } = manifest;
  const revision = await nextRevision(catalog, snapshot, vault.name);
  const signed = signManifest(
    {
      ...same,
      ...(revision > 0 ? { revision } : {}),
      vault: vault.name,
      lock: { mode: vault.lockMode, retainUntil: manifest.lock.retainUntil },
      index: { ...manifest.index, versionId: index.versionId, lock: lockText(index.lock) },
      segments: manifest.segments.map((segment) => {
        const placed = segments.get(segment.id);
        if (!placed) throw new CoffreError('E_OBJECT_MISSING', `${vault.name}: ${segment.key} has no copy here`);
        return { ...segment, versionId: placed.versionId, lock: lockText(placed.lock) };
      }),
    },
    input.signingKey,
  );
  const plaintext = encodeManifest(signed);
  const recipients = manifest.encryption === 'none' ? 'none' : [manifest.encryption.recipient];
  const sealed = await sealOnce(catalog.stateDir, `${id}.${vault.name}`, plaintext, recipients);
  const wanted = {
    key: manifestKey(shop, id, encrypted),
    kind: 'manifest' as const,
    refId: id,
    storedBytes: sealed.length,
    storedSha256: createHash('sha256').update(sealed).digest('hex'),
  };
  const stored = await placeObject(place, wanted, need, input.options, (store) => store(sealed));
  input.onManifest();
  await writeDurably(manifestCopyPath(catalog.stateDir, shop, id, vault.name), plaintext);
  await recordCopy(catalog, {
    snapshotId: id,
    vault: vault.name,
    committedAt: clock.nowMs(),
    manifestObject: stored.objectId,
    indexObject: index.objectId,
    verifiedAt: null,
    verifyError: null,
  });
  for (const path of pendingPaths(catalog.stateDir, `${id}.${vault.name}`)) await rm(path, { force: true });
  return { manifest: stored, index };
}

/** 0 for the first manifest of a snapshot in a vault; without a catalog the highest one is the one that counts. */
async function nextRevision(catalog: Catalog, snapshot: SnapshotWithCopies, vault: string): Promise<number> {
  if (!snapshot.copies.some((copy) => copy.vault === vault)) return 0;
  const before = await readIfThere(manifestCopyPath(catalog.stateDir, snapshot.shop, snapshot.id, vault));
  if (before === null) return 1;
  return (decodeManifest(before).manifest.revision ?? 0) + 1;
}

/** The same plaintext gives the same bytes after a crash: age is different each time, and only the hash tells what a vault holds. */
async function sealOnce(stateDir: string, name: string, plaintext: Buffer, recipients: readonly string[] | 'none'): Promise<Buffer> {
  const [sealedPath, plainPath] = pendingPaths(stateDir, name);
  const [before, stored] = [await readIfThere(plainPath), await readIfThere(sealedPath)];
  if (before?.equals(plaintext) && stored) return stored;
  // a plaintext that is not that of the sealed bytes beside it must never be seen
  await rm(plainPath, { force: true });
  const sealed = await seal([plaintext], { recipients, estimatedBytes: plaintext.length });
  await writeDurably(sealedPath, sealed.stored);
  await writeDurably(plainPath, plaintext);
  return sealed.stored;
}

function pendingPaths(stateDir: string, name: string): readonly [string, string] {
  return [`${catchUpPath(stateDir, name)}.sealed`, `${catchUpPath(stateDir, name)}.json`];
}

async function readIfThere(path: string): Promise<Buffer | null> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new CoffreError('E_STATE', `cannot read ${path}`, { cause: error });
  }
}
