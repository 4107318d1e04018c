// Gets objects of a snapshot back, checked, from the first vault whose copy is right; what was wrong elsewhere is remembered.
import type { Catalog } from '../catalog/open.ts';
import type { ObjectRow, SnapshotWithCopies } from '../catalog/snapshots.ts';
import { asCoffreError, CoffreError, ERRORS, type ErrorCode } from '../errors.ts';
import { decodeManifest, verifyManifest } from '../segment/manifest.ts';
import type { Manifest, ManifestSegment } from '../segment/manifest-types.ts';
import { type OpenOptions, openBuffer, openSelfProving, openStream, readStored, readStoredInto } from '../segment/open.ts';
import { LARGE_PART_BYTES } from '../source/source.ts';
import type { Vault } from '../vault/vault.ts';

export type Identities = OpenOptions['identities'];

/** Something that was not right although the restore could go on. */
export interface Problem {
  readonly vault: string;
  readonly key: string;
  readonly code: string;
  readonly message: string;
}

/** One vault's copy of a snapshot, its manifest checked. */
export interface OpenedCopy {
  readonly vault: Vault;
  readonly manifest: Manifest;
}

/** No manifest of a shop comes near this; what claims to be larger is not unpacked. */
const LARGEST_MANIFEST_BYTES = 256 * 1024 * 1024;

/** The row of one object, which must be there and stored. */
export async function objectRow(catalog: Catalog, id: number): Promise<ObjectRow & { versionId: string; sha256: string }> {
  const row = await catalog.db.selectFrom('objects').selectAll().where('id', '=', id).executeTakeFirst();
  if (row?.state !== 'stored' || row.versionId === null || row.sha256 === null) {
    throw new CoffreError('E_CATALOG', `object ${id} is not known as stored`);
  }
  return { ...row, versionId: row.versionId, sha256: row.sha256 };
}

/**
 * Reads one vault's manifest: bytes as the catalog knows them, decrypted, signed by a key whose fingerprint is `trusted`, and about this very
 * snapshot in this very vault. Throws E_OBJECT_MISSING, E_OBJECT_ALTERED, E_DECRYPT, E_SIGNATURE, E_FORMAT or a vault's code.
 */
export async function readManifest(
  catalog: Catalog,
  vault: Vault,
  snapshot: SnapshotWithCopies,
  identities: Identities,
  trusted: readonly string[],
  signal: AbortSignal,
): Promise<Manifest> {
  const copy = snapshot.copies.find((candidate) => candidate.vault === vault.name);
  if (!copy) throw new CoffreError('E_OBJECT_MISSING', `${vault.name} has no copy of snapshot ${snapshot.id}`);
  const row = await objectRow(catalog, copy.manifestObject);
  const what = `${vault.name}: ${row.key}`;
  const stored = await readStored(
    await vault.get(row.key, row.versionId, signal),
    { storedBytes: row.sizeBytes, storedSha256: row.sha256 },
    what,
    signal,
  );
  return parseManifest(stored, { what, identities, trusted, shop: snapshot.shop, snapshot: snapshot.id, vault: vault.name, signal });
}

export interface ManifestExpectation {
  readonly what: string;
  readonly identities: Identities;
  readonly trusted: readonly string[];
  readonly shop: string;
  readonly snapshot: string;
  readonly vault: string;
  readonly signal: AbortSignal;
}

/** Opens stored bytes as a manifest and requires signature and identity of what it describes. */
export async function parseManifest(stored: Uint8Array, expect: ManifestExpectation): Promise<Manifest> {
  const pieces: Buffer[] = [];
  for await (const chunk of openSelfProving(stored, {
    what: expect.what,
    identities: expect.identities,
    maxPlainBytes: LARGEST_MANIFEST_BYTES,
    signal: expect.signal,
  })) {
    pieces.push(chunk);
  }
  const signed = decodeManifest(Buffer.concat(pieces), expect.what);
  verifyManifest(signed, expect.trusted, expect.what);
  const { manifest } = signed;
  if (manifest.shop !== expect.shop || manifest.snapshot !== expect.snapshot || manifest.vault !== expect.vault) {
    throw new CoffreError(
      'E_OBJECT_ALTERED',
      `${expect.what}: it is the manifest of ${manifest.shop} ${manifest.snapshot} in ${manifest.vault}, swapped with another`,
    );
  }
  return manifest;
}

/** A segment ready to be consumed. */
export interface FetchedSegment {
  readonly plaintext: AsyncIterable<Uint8Array>;
  /** Larger than memory allows: its check comes with its end. */
  readonly unverified: boolean;
  readonly storedBytes: number;
}

/** Too large to be held in memory before use. What compresses very well stays small here: its plaintext is streamed anyway. */
export function isStreamed(object: Pick<ManifestSegment, 'storedBytes'>): boolean {
  return object.storedBytes > LARGE_PART_BYTES;
}

/**
 * Fetches one object of this copy. A small one is checked as a whole before this returns; a large one as it streams. `inPlace`: chunks of
 * plaintext are only valid until the next one is asked for.
 */
export async function fetchObject(
  copy: OpenedCopy,
  object: Pick<ManifestSegment, 'key' | 'versionId' | 'plainBytes' | 'plainSha256' | 'storedBytes' | 'storedSha256'>,
  identities: Identities,
  signal: AbortSignal,
  inPlace = false,
): Promise<FetchedSegment> {
  const what = `${copy.vault.name}: ${object.key}`;
  const options: OpenOptions = { what, expected: object, identities, signal, inPlace };
  const stored = await copy.vault.get(object.key, object.versionId, signal);
  if (isStreamed(object)) {
    return { plaintext: openStream(stored, options), unverified: true, storedBytes: object.storedBytes };
  }
  const whole = await readStored(stored, object, what, signal);
  return { plaintext: openBuffer(whole, options), unverified: false, storedBytes: object.storedBytes };
}

/** Fetches the stored bytes of one object of this copy into `room`; only their number is checked. Throws a vault's codes, E_OBJECT_ALTERED. */
export async function fetchStored(
  copy: OpenedCopy,
  object: Pick<ManifestSegment, 'key' | 'versionId' | 'storedBytes'>,
  room: SharedArrayBuffer,
  signal: AbortSignal,
): Promise<void> {
  const stored = await copy.vault.get(object.key, object.versionId, signal);
  await readStoredInto(stored, Buffer.from(room), object, `${copy.vault.name}: ${object.key}`, signal);
}

/**
 * Copies in the order in which they are asked: a vault that did not answer, or went silent, is asked last from then on, or every segment
 * would wait out its time limit anew.
 */
export class CopyOrder {
  #copies: readonly OpenedCopy[];

  constructor(copies: readonly OpenedCopy[]) {
    this.#copies = copies;
  }

  get copies(): readonly OpenedCopy[] {
    return this.#copies;
  }

  note(problem: Problem): void {
    if (ERRORS[problem.code as ErrorCode].exit !== VAULT_EXIT) return;
    const silent = this.#copies.filter((copy) => copy.vault.name === problem.vault);
    this.#copies = [...this.#copies.filter((copy) => copy.vault.name !== problem.vault), ...silent];
  }
}

/** The same object as another copy describes it: ids are equal in every vault, versions are not. */
export function segmentIn(copy: OpenedCopy, id: string): ManifestSegment {
  const segment = copy.manifest.segments.find((candidate) => candidate.id === id);
  if (!segment)
    throw new CoffreError('E_OBJECT_MISSING', `${copy.vault.name}: the manifest of ${copy.manifest.snapshot} does not name ${id}`);
  return segment;
}

/**
 * Tries the copies in order until `use` succeeds; every failure of a copy is reported to `onProblem`. Failures that are not
 * the copy's fault (the target's) are thrown at once. Throws the first copy's error when none is left.
 */
export async function fromAnyCopy<T>(
  order: readonly OpenedCopy[] | CopyOrder,
  key: string,
  signal: AbortSignal,
  onProblem: (problem: Problem) => void,
  use: (copy: OpenedCopy) => Promise<T>,
): Promise<T> {
  let first: CoffreError | null = null;
  for (const copy of order instanceof CopyOrder ? order.copies : order) {
    try {
      return await use(copy);
    } catch (error) {
      signal.throwIfAborted();
      const failure = asCoffreError(error);
      if (!isCopysFault(failure)) throw failure;
      onProblem({ vault: copy.vault.name, key, code: failure.code, message: failure.message });
      first ??= failure;
    }
  }
  throw first ?? new CoffreError('E_OBJECT_MISSING', `${key}: no vault holds it`);
}

/** Exit group of a vault that does not answer. */
const VAULT_EXIT = 4;

/** Exit groups 4 and 6: a vault that does not answer, or bytes that are not what was written. */
export function isCopysFault(error: CoffreError): boolean {
  return error.exitStatus === VAULT_EXIT || error.exitStatus === 6;
}
