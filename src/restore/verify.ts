// Verification: is everything of a snapshot there, as it was written, locked as promised, and signed by us?
import { createHash } from 'node:crypto';
import { recordDamageFound } from '../catalog/damage.ts';
import { acknowledgedVersions } from '../catalog/incidents.ts';
import type { Catalog } from '../catalog/open.ts';
import { readableObjects } from '../catalog/reading.ts';
import {
  getSnapshot,
  type ObjectRow,
  objectsOf,
  recordDamagedObject,
  recordSoundObject,
  recordVerification,
  type SnapshotWithCopies,
  sharedSegments,
  snapshotSegments,
} from '../catalog/snapshots.ts';
import type { Clock } from '../clock.ts';
import { asCoffreError, CoffreError, type ErrorCode } from '../errors.ts';
import { readRules, readSnapshots } from '../retention/facts.ts';
import { decodeIndex } from '../segment/index-file.ts';
import type { Manifest } from '../segment/manifest-types.ts';
import { openBuffer, openStream, readStored } from '../segment/open.ts';
import { inParallel } from '../vault/in-parallel.ts';
import { isAsStrong } from '../vault/lock-mode.ts';
import type { ListedVersion, LockMode, Vault } from '../vault/vault.ts';
import { fetchObject, type Identities, isStreamed, type OpenedCopy, objectRow, readManifest } from './fetch.ts';
import { lockNeed } from './lock-need.ts';
import { oldestShare } from './read-share.ts';

export interface VerifyDeps {
  readonly catalog: Catalog;
  readonly clock: Clock;
  /** Identities of the shop; null: not at hand, so signatures and plaintexts cannot be checked, which is said. */
  readonly identities: Identities | null;
  readonly trusted: readonly string[];
  readonly signal: AbortSignal;
  readonly onProgress: (doneBytes: number, current: string) => void;
}

export interface Finding {
  readonly code: string;
  readonly key: string;
  readonly message: string;
}

export interface VerifiedCopy {
  readonly vault: string;
  readonly ok: boolean;
  readonly objects: number;
  /** Stored bytes that were read and hashed. */
  readonly readBytes: number;
  readonly readObjects: number;
  /** What was checked: a check that could not be made is not in here. */
  readonly checked: readonly ('existence' | 'size' | 'lock' | 'signature' | 'data' | 'plaintext')[];
  readonly errors: readonly Finding[];
}

/** Objects asked about at once in one vault. */
const ASKS_IN_FLIGHT = 8;

/** Everything below a shop's prefix in a vault, by key: one listing serves all its snapshots. */
export async function listShop(vault: Vault, shop: string): Promise<ReadonlyMap<string, readonly ListedVersion[]>> {
  const found = new Map<string, ListedVersion[]>();
  for await (const version of vault.listVersions(`${shop}/`)) {
    const list = found.get(version.key);
    if (list) list.push(version);
    else found.set(version.key, [version]);
  }
  return found;
}

/** What of a shop's objects in one vault a verification reads. */
export interface Reading {
  /** Of all bytes; 0: the store is asked only. */
  readonly percent: number;
  /** Rows of objects: those of this share that were not read for longest. */
  readonly chosen: ReadonlySet<number>;
  /** Spares objects that another snapshot of the same call has read. */
  readonly alreadyRead: Set<number>;
}

/** Chooses the share of what this vault holds of the shop that was not read for longest. What was found damaged is always read again. */
export async function chooseReading(catalog: Catalog, vault: string, shop: string, percent: number): Promise<Reading> {
  const chosen = new Set<number>();
  if (percent > 0) {
    for (const object of oldestShare(await readableObjects(catalog, vault, shop), percent)) chosen.add(object.id);
  }
  return { percent, chosen, alreadyRead: new Set() };
}

/**
 * Verifies one copy. Of what is chosen the bytes are read and hashed, and opened when the identity is at hand; index and manifest
 * whenever anything is read. Never throws for what it finds: errors are the result, and are noted in the catalog.
 */
export async function verifyCopy(
  deps: VerifyDeps,
  vault: Vault,
  snapshot: SnapshotWithCopies,
  listing: ReadonlyMap<string, readonly ListedVersion[]>,
  { percent: readPercent, chosen, alreadyRead }: Reading,
): Promise<VerifiedCopy> {
  const { catalog } = deps;
  const copy = snapshot.copies.find((candidate) => candidate.vault === vault.name);
  if (!copy) throw new CoffreError('E_INTERNAL', `${vault.name} has no copy of ${snapshot.id} to verify`);
  const errors: Finding[] = [];
  let [readBytes, readObjects] = [0, 0];
  const segments = await snapshotSegments(catalog, snapshot.id);
  const rows = await objectsOf(
    catalog,
    vault.name,
    segments.map((segment) => segment.id),
    'segment',
  );
  const rowOf = new Map(rows.map((row) => [row.refId, row]));
  const note = (key: string, error: unknown): void => {
    deps.signal.throwIfAborted();
    const failure = asCoffreError(error);
    errors.push({ code: failure.code, key, message: failure.message });
  };
  const tell = async (found: readonly { readonly row: ObjectRow; readonly error: unknown }[]): Promise<void> => {
    const objects = found.map(({ error, row: { key, sizeBytes, versionId } }) => {
      const { code, message } = asCoffreError(error);
      return { key, versionId, sizeBytes, code, detail: message };
    });
    await recordDamageFound(catalog, deps.clock, { vault: vault.name, shop: snapshot.shop, objects, who: 'verify' });
  };
  /** What was read of this object is not what was written: a catch-up stores it anew. */
  const noteRead = async (row: ObjectRow | undefined, key: string, error: unknown): Promise<void> => {
    note(key, error);
    const { code } = asCoffreError(error);
    // others that use it may not have it in their share, and the next run must not build on it
    if (!row || !FOUND_BY_READING.has(code)) return;
    await recordDamagedObject(catalog, row, code);
    await tell([{ row, error }]);
  };

  // 1. There, with its size, locked as promised, and nothing foreign on the same key.
  const own: ObjectRow[] = [];
  for (const id of [copy.manifestObject, copy.indexObject]) {
    try {
      own.push(await objectRow(catalog, id));
    } catch (error) {
      note(`object ${id}`, error);
    }
  }
  for (const segment of segments) {
    const row = rowOf.get(segment.id);
    if (row) own.push(row);
    else note(segment.key, new CoffreError('E_OBJECT_MISSING', `${vault.name}: ${segment.key} is not known to be stored here`));
  }
  const asked = await lockAsked(catalog, vault.name, snapshot, deps.clock.nowMs());
  const wrong: { row: ObjectRow; error: unknown }[] = [];
  await inParallel(own, ASKS_IN_FLIGHT, async (row) => {
    try {
      await checkObject(deps, vault, row, asked, listing.get(row.key) ?? []);
    } catch (error) {
      note(row.key, error);
      wrong.push({ row, error });
    }
  });
  await tell(wrong);

  // 2. The manifest says what we know, and we signed it.
  let manifest: Manifest | null = null;
  if (deps.identities !== null) {
    try {
      manifest = await readManifest(catalog, vault, snapshot, deps.identities, deps.trusted, deps.signal);
    } catch (error) {
      const row = own.find((candidate) => candidate.id === copy.manifestObject);
      await noteRead(row, `manifest of ${snapshot.id}`, error);
    }
  }
  if (manifest !== null) {
    try {
      const indexRow = own.find((row) => row.id === copy.indexObject);
      if (indexRow && (indexRow.versionId !== manifest.index.versionId || indexRow.sha256 !== manifest.index.storedSha256)) {
        throw new CoffreError('E_OBJECT_ALTERED', `${vault.name}: manifest and catalog differ about ${indexRow.key}`);
      }
      const named = new Map(manifest.segments.map((segment) => [segment.id, segment]));
      for (const segment of segments) {
        const said = named.get(segment.id);
        if (!said || said.storedSha256 !== segment.storedSha256 || said.versionId !== rowOf.get(segment.id)?.versionId) {
          throw new CoffreError('E_OBJECT_ALTERED', `${vault.name}: manifest and catalog differ about ${segment.key}`);
        }
      }
    } catch (error) {
      note(`manifest of ${snapshot.id}`, error);
    }
  }

  // 3. Bytes: index and manifest always when reading, segments by share.
  if (readPercent > 0) {
    for (const row of own.filter((row) => row.id === copy.indexObject || row.id === copy.manifestObject)) {
      try {
        if (row.id === copy.indexObject && manifest !== null) await readIndexObject(deps, { vault, manifest });
        // without the identity its stored bytes must do; with it the manifest was read in step 2
        else if (deps.identities === null || row.id === copy.indexObject) await readHashed(deps, vault, row);
        else continue;
        await recordSoundObject(catalog, row.id, deps.clock.nowMs());
        readBytes += row.sizeBytes;
        readObjects++;
      } catch (error) {
        await noteRead(row, row.key, error);
      }
    }
    for (const segment of segments) {
      const row = rowOf.get(segment.id);
      if (!row?.versionId || alreadyRead.has(row.id)) continue;
      if (readPercent < 100 && row.damage === null && !chosen.has(row.id)) continue;
      try {
        const what = `${vault.name}: ${row.key}`;
        const stored = await vault.get(row.key, row.versionId, deps.signal);
        const options = { what, expected: segment, identities: deps.identities ?? 'none', signal: deps.signal } as const;
        if (deps.identities === null) await hashStored(stored, segment, what);
        else if (isStreamed(segment)) await drain(openStream(stored, options));
        else await drain(openBuffer(await readStored(stored, segment, what, deps.signal), options));
        alreadyRead.add(row.id);
        await recordSoundObject(catalog, row.id, deps.clock.nowMs());
        readBytes += segment.storedBytes;
        readObjects++;
        deps.onProgress(readBytes, row.key);
      } catch (error) {
        await noteRead(row, row.key, error);
      }
    }
  }
  // read now: a segment of this one may have been found damaged a moment ago
  const before = (await getSnapshot(catalog, snapshot.id)).copies.find((known) => known.vault === vault.name)?.verifyError ?? null;
  if (before !== null && errors.every((error) => error.code !== before) && !couldFind(before, deps.identities !== null, readPercent)) {
    const message = `${vault.name}: ${snapshot.id}: an earlier verification found ${before}; only one that reads all its data can take that back`;
    errors.unshift({ code: before, key: `snapshot ${snapshot.id}`, message });
  }
  const worst = errors.find(({ code }) => MENDED_BY_COPY.has(code)) ?? errors.find(({ code }) => code !== 'E_LOCK_DROPPED') ?? errors[0];
  await recordVerification(catalog, snapshot.id, vault.name, deps.clock.nowMs(), worst?.code ?? null);
  return {
    vault: vault.name,
    ok: errors.length === 0,
    objects: own.length,
    readBytes,
    readObjects,
    checked: [
      'existence',
      'size',
      'lock',
      ...(deps.identities === null ? [] : (['signature'] as const)),
      ...(readPercent > 0 ? (['data'] as const) : []),
      ...(readPercent > 0 && deps.identities !== null ? (['plaintext'] as const) : []),
    ],
    errors,
  };
}

/** What a new copy of the object mends: said before anything else, so that a catch-up sees to it; a lock, which leaves the content as it is, after all else. */
const MENDED_BY_COPY: ReadonlySet<string> = new Set<ErrorCode>(['E_OBJECT_MISSING', 'E_OBJECT_ALTERED']);

/** What shows in the bytes alone. */
const FOUND_BY_READING: ReadonlySet<string> = new Set<ErrorCode>(['E_OBJECT_ALTERED', 'E_DECRYPT', 'E_FORMAT']);

/** Whether a verification of this depth would have found `code` again, were it still there. */
function couldFind(code: string, hasIdentity: boolean, readPercent: number): boolean {
  if (code === 'E_SIGNATURE') return hasIdentity;
  return !FOUND_BY_READING.has(code) || (hasIdentity && readPercent >= 100);
}

/** Reads an index as a restore would: the bytes that the manifest names, down to their last line. */
async function readIndexObject(deps: VerifyDeps, copy: OpenedCopy): Promise<void> {
  const { index } = copy.manifest;
  const what = `${copy.vault.name}: ${index.key}`;
  const fetched = await fetchObject(copy, index, deps.identities ?? 'none', deps.signal);
  let entries = 0;
  for await (const _ of decodeIndex(fetched.plaintext, what)) entries++;
  if (entries !== index.entries) {
    throw new CoffreError('E_OBJECT_ALTERED', `${what}: ${entries} lines, ${index.entries} expected`);
  }
}

async function readHashed(deps: VerifyDeps, vault: Vault, row: ObjectRow): Promise<void> {
  const { versionId, sha256 } = await objectRow(deps.catalog, row.id);
  const expected = { storedBytes: row.sizeBytes, storedSha256: sha256 };
  await hashStored(await vault.get(row.key, versionId, deps.signal), expected, `${vault.name}: ${row.key}`);
}

async function checkObject(
  deps: VerifyDeps,
  vault: Vault,
  row: ObjectRow,
  asked: LockAsked,
  listed: readonly ListedVersion[],
): Promise<void> {
  const what = `${vault.name}: ${row.key}`;
  const isListed = listed.find((version) => version.versionId === row.versionId && !version.isDeleteMarker);
  // a listing may lag behind: only a direct question makes it missing
  const ours = isListed ?? (row.versionId === null ? null : await vault.stat(row.key, row.versionId));
  if (!ours) {
    const instead = listed.length === 0 ? 'nothing is there' : `${listed.length} other version(s) are there`;
    // a folder has one file for a key: ours was written over
    if (vault.type === 'filesystem' && listed.length > 0) {
      const [other] = listed as readonly [ListedVersion];
      const said = `version ${other.versionId} is there, ${row.versionId} was stored`;
      throw new CoffreError('E_OBJECT_ALTERED', `${what} was altered: ${said}`);
    }
    throw new CoffreError('E_OBJECT_MISSING', `${what} version ${row.versionId} is gone: ${instead}`);
  }
  if (ours.sizeBytes !== row.sizeBytes) {
    throw new CoffreError('E_OBJECT_ALTERED', `${what} holds ${ours.sizeBytes} bytes, ${row.sizeBytes} were written`);
  }
  const known = await knownVersions(deps.catalog, vault.name, row);
  const foreign = listed.find((version) => !known.has(version.versionId));
  if (foreign) {
    const kind = foreign.isDeleteMarker ? 'a delete marker' : 'a version';
    throw new CoffreError('E_VERSION_FOREIGN', `${what}: ${kind} ${foreign.versionId} of ${foreign.modifiedAt} is not ours`);
  }
  const lock = (await vault.stat(row.key, row.versionId as string))?.lock ?? null;
  // nothing is asked of it for this snapshot's sake: what the store said that it would keep must still be kept, and whoever asked for it says so
  const isPromised = row.retainUntil !== null && row.retainUntil > deps.clock.nowMs() && !asked.answeredFor.has(row.refId ?? '');
  const untilMs = asked.untilMs ?? (isPromised ? row.retainUntil : null);
  if (untilMs === null) return;
  // the mode that was read back when it was stored: the vault's may have been changed since
  const promised = (row.lockMode as LockMode | null) ?? vault.lockMode;
  if (!lock || !isAsStrong(lock.mode, promised)) {
    throw new CoffreError('E_LOCK_DROPPED', `${what} has ${lock ? `a ${lock.mode} lock` : 'no lock'}, ${promised} was promised`);
  }
  if (lock.retainUntil.epochMilliseconds < untilMs) {
    throw new CoffreError('E_LOCK_DROPPED', `${what} is locked until ${lock.retainUntil}, less than promised`);
  }
}

/** Until when the objects of a snapshot must be locked in a vault. */
interface LockAsked {
  /** Epoch milliseconds; null: this snapshot asks for none. */
  readonly untilMs: number | null;
  /** Segments that another snapshot in this vault answers for. */
  readonly answeredFor: ReadonlySet<string>;
}

async function lockAsked(catalog: Catalog, vault: string, snapshot: SnapshotWithCopies, nowMs: number): Promise<LockAsked> {
  if (snapshot.keepUntil > nowMs) return { untilMs: snapshot.keepUntil, answeredFor: new Set() };
  const { id, shop } = snapshot;
  return await catalog.transaction(async (tx) => {
    const snapshots = await readSnapshots(tx, shop, []);
    // a plan's window of today promises nothing to what was taken before
    const { others, untilMs } = lockNeed(id, snapshots, await readRules(tx, { shop, retentionMs: 0 }), nowMs);
    const here = snapshots.filter((one) => others.has(one.id) && one.copies.some((copy) => copy.vault === vault));
    const ids = here.map((one) => one.id);
    return { untilMs, answeredFor: await sharedSegments(tx, id, ids) };
  });
}

/** Ours, and those that somebody has looked into. */
async function knownVersions(catalog: Catalog, vault: string, { key, shop }: ObjectRow): Promise<Set<string>> {
  const rows = await catalog.db
    .selectFrom('objects')
    .select('versionId')
    .where('vault', '=', vault)
    .where('key', '=', key)
    .where('kind', '!=', 'foreign')
    .execute();
  const known = new Set(rows.flatMap((row) => (row.versionId === null ? [] : [row.versionId])));
  for (const versionId of await acknowledgedVersions(catalog.db, { vault, shop, key })) known.add(versionId);
  return known;
}

async function hashStored(
  stored: AsyncIterable<Uint8Array>,
  expected: { storedBytes: number; storedSha256: string },
  what: string,
): Promise<void> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of stored) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  const actual = hash.digest('hex');
  if (bytes !== expected.storedBytes || actual !== expected.storedSha256) {
    throw new CoffreError('E_OBJECT_ALTERED', `${what}: SHA-256 of ${bytes} stored bytes is ${actual}, expected ${expected.storedSha256}`);
  }
}

async function drain(plaintext: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const _ of plaintext);
}
