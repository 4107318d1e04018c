// The commit of a snapshot into one vault: index, then manifest, then the catalog's row. Before the row it does not exist.

import type { KeyObject } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Temporal } from 'temporal-polyfill';
import type { Ledger } from '../billing/ledger.ts';
import type { Catalog } from '../catalog/open.ts';
import type { Clock } from '../clock.ts';
import { CoffreError } from '../errors.ts';
import { indexKey, manifestKey } from '../segment/layout.ts';
import { encodeManifest, signManifest } from '../segment/manifest.ts';
import type { LockText, Manifest, ManifestSegment, SealedFacts } from '../segment/manifest-types.ts';
import { seal } from '../segment/seal.ts';
import type { Lock, Vault } from '../vault/vault.ts';
import { holds } from './locks.ts';
import { manifestCopyPath } from './state-files.ts';
import { type Stored, storeObject, storeStream } from './store.ts';
import type { RunSegment, SealTo } from './store-part.ts';

/** Sealed indexes up to this size go in one PUT. */
const INDEX_IN_MEMORY_BYTES = 32 * 1024 * 1024;

export interface CommitInput {
  readonly catalog: Catalog;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly runId: string;
  readonly to: SealTo;
  readonly signingKey: KeyObject;
  /** Everything that does not depend on the vault. */
  readonly manifest: Omit<Manifest, 'vault' | 'index' | 'segments' | 'lock'>;
  readonly promisedUntil: Temporal.Instant;
  /** Lock end that index and manifest get. */
  readonly horizon: Temporal.Instant;
  readonly segments: readonly RunSegment[];
  readonly index: { readonly sealedPath: string; readonly facts: SealedFacts; readonly entries: number };
}

export interface CommittedCopy {
  readonly vault: string;
  readonly manifestObject: number;
  readonly indexObject: number;
  readonly committedAt: number;
  /** The earliest end among all objects of the snapshot, as read back. */
  readonly lock: Lock;
  /** Stored size of manifest and index. */
  readonly manifestBytes: number;
}

/**
 * Stores index and manifest, each read back. A crash before the caller writes the catalog's row leaves two objects that
 * nothing names: the next runs' prune takes them.
 */
export async function storeManifest(input: CommitInput, vault: Vault): Promise<CommittedCopy> {
  const { manifest } = input;
  const encrypted = input.to !== 'none';
  const index = await storeIndex(input, vault, indexKey(manifest.shop, manifest.snapshot, encrypted));
  requireLock(vault, index, input.promisedUntil);
  const locks: Lock[] = [index.object.lock as Lock];
  const segments: ManifestSegment[] = input.segments.map((segment) => {
    const copy = segment.copies.get(vault.name);
    if (!copy?.lock) throw new CoffreError('E_LOCK_DROPPED', `${vault.name}: ${segment.row.key} has no lock that was read back`);
    locks.push(copy.lock);
    return manifestSegment(segment, copy.versionId, lockText(copy.lock));
  });
  const signed = signManifest(
    {
      ...manifest,
      vault: vault.name,
      lock: { mode: vault.lockMode, retainUntil: input.promisedUntil.toString() },
      index: {
        ...input.index.facts,
        key: index.object.key,
        versionId: index.object.versionId,
        lock: lockText(index.object.lock),
        entries: input.index.entries,
      },
      segments,
    },
    input.signingKey,
  );
  const plaintext = encodeManifest(signed);
  const sealed = await seal(once(plaintext), { recipients: input.to, signal: input.signal, estimatedBytes: plaintext.length });
  const key = manifestKey(manifest.shop, manifest.snapshot, encrypted);
  const stored = await storeObject(
    input.ledger,
    input.clock,
    vault,
    { ...requestOf(input), kind: 'manifest', key, sha256: sealed.facts.storedSha256 },
    sealed.stored,
  );
  requireLock(vault, stored, input.promisedUntil);
  locks.push(stored.object.lock as Lock);
  await writeDurably(manifestCopyPath(input.catalog.stateDir, manifest.shop, manifest.snapshot, vault.name), plaintext);
  return {
    vault: vault.name,
    manifestObject: stored.objectId,
    indexObject: index.objectId,
    committedAt: input.clock.nowMs(),
    lock: locks.reduce((a, b) => (a.retainUntil.epochMilliseconds <= b.retainUntil.epochMilliseconds ? a : b)),
    manifestBytes: stored.object.sizeBytes + index.object.sizeBytes,
  };
}

async function storeIndex(input: CommitInput, vault: Vault, key: string): Promise<Stored> {
  const { sealedPath, facts } = input.index;
  const request = { ...requestOf(input), kind: 'index' as const, key };
  if (facts.storedBytes > INDEX_IN_MEMORY_BYTES) {
    return storeStream(input.ledger, vault, request, createReadStream(sealedPath), facts.storedBytes, () => facts);
  }
  return storeObject(input.ledger, input.clock, vault, { ...request, sha256: facts.storedSha256 }, await readFile(sealedPath));
}

function requestOf(input: CommitInput) {
  return {
    shop: input.manifest.shop,
    refId: input.manifest.snapshot,
    runId: input.runId,
    retainUntil: input.horizon,
    signal: input.signal,
  };
}

function requireLock(vault: Vault, stored: Stored, until: Temporal.Instant): void {
  const { lock, key } = stored.object;
  if (!lock || !holds(vault, lock, until)) {
    throw new CoffreError(
      'E_LOCK_DROPPED',
      `${vault.name}: ${key} reads back ${lock ? `${lock.mode} until ${lock.retainUntil}` : 'without a lock'}`,
    );
  }
}

function manifestSegment(segment: RunSegment, versionId: string, lock: LockText | null): ManifestSegment {
  const { row } = segment;
  return {
    id: row.id,
    key: row.key,
    kind: row.kind as ManifestSegment['kind'],
    phase: row.phase as ManifestSegment['phase'],
    name: row.name,
    fresh: segment.fresh,
    plainBytes: row.plainBytes,
    plainSha256: row.plainSha256,
    storedBytes: row.storedBytes,
    storedSha256: row.storedSha256,
    ...(row.load === null ? {} : { load: JSON.parse(row.load) }),
    ...(segment.partial ? { partial: true as const } : {}),
    versionId,
    lock,
  };
}

export function lockText(lock: Lock | null): LockText | null {
  return lock && { mode: lock.mode, retainUntil: lock.retainUntil.toString() };
}

/** Temporary file, fsync, rename, fsync of the folder. */
export async function writeDurably(path: string, content: Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.tmp`;
  const file = await open(temporary, 'w', 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  const folder = await open(dirname(path), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function* once(content: Uint8Array): AsyncGenerator<Uint8Array> {
  yield content;
}
