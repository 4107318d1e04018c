// Objects of a vault that nobody vouches for, read until one proves itself: by signature, by what it says it is, oldest version first.
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { Temporal } from 'temporal-polyfill';
import type { Clock } from '../clock.ts';
import { CoffreError } from '../errors.ts';
import { type Checkpoint, decodeCheckpoint, type SignedCheckpoint, verifyCheckpoint } from '../segment/checkpoint.ts';
import { compressIndex } from '../segment/index-file.ts';
import { manifestKey, parseKey, stateKey } from '../segment/layout.ts';
import { decodeManifest, verifyManifest } from '../segment/manifest.ts';
import type { Manifest, SignedManifest } from '../segment/manifest-types.ts';
import { openSelfProving, openStream } from '../segment/open.ts';
import { READ_RETRY, retrying } from '../vault/retry.ts';
import type { ListedVersion, Vault } from '../vault/vault.ts';
import { indexCopyPath } from './state-files.ts';

export interface RebuildVault {
  readonly vault: Vault;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Something in the vault that coffre did not put there, or that is not what its name says. */
export interface RebuildFinding {
  readonly key: string;
  readonly versionId: string;
  readonly what: string;
  readonly sizeBytes: number;
}

/** Nothing of ours that is read whole comes near; what claims to be larger is not unpacked. */
const LARGEST_STORED_BYTES = 256 * 1024 * 1024;
const LARGEST_PLAIN_BYTES = 512 * 1024 * 1024;

/** The bytes of one version. Throws E_OBJECT_MISSING, E_OBJECT_ALTERED, E_FORMAT (too large), and what the vault throws after retries. */
export async function readVersion(from: RebuildVault, version: ListedVersion, limitBytes = LARGEST_STORED_BYTES): Promise<Buffer> {
  const what = `${from.vault.name}: ${version.key}`;
  if (version.sizeBytes > limitBytes) throw new CoffreError('E_FORMAT', `${what}: too large to be what it is called`);
  return await retrying(
    from.clock,
    READ_RETRY,
    async () => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      for await (const chunk of await from.vault.get(version.key, version.versionId, from.signal)) {
        bytes += (chunk as Buffer).length;
        if (bytes > version.sizeBytes) break;
        chunks.push(chunk as Buffer);
      }
      if (bytes !== version.sizeBytes) throw new CoffreError('E_OBJECT_ALTERED', `${what}: is not as long as the store lists it`);
      return Buffer.concat(chunks);
    },
    from.signal,
  );
}

export const sha256Of = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** What a failed proof says of the object; null: it says nothing of it (a vault that does not answer), and the error must be thrown. */
export function verdictOf(error: unknown, what: string): string | null {
  if (!(error instanceof CoffreError)) return null;
  switch (error.code) {
    case 'E_SIGNATURE':
      return `forged ${what}: not signed by a key of the recovery kit`;
    case 'E_DECRYPT':
      return `${what} that no identity opens`;
    case 'E_FORMAT':
      return `not a ${what}`;
    case 'E_OBJECT_ALTERED':
      return `${what} of something else, or altered`;
    case 'E_OBJECT_MISSING':
      return `${what} that is listed and cannot be read`;
    default:
      return null;
  }
}

async function plaintextOf(stored: Buffer, what: string, identities: readonly string[] | 'none', signal: AbortSignal): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const chunk of openSelfProving(stored, { what, identities, maxPlainBytes: LARGEST_PLAIN_BYTES, signal })) pieces.push(chunk);
  return Buffer.concat(pieces);
}

export interface OpenedManifest {
  readonly signed: SignedManifest;
  /** Of the stored bytes. */
  readonly sha256: string;
}

/**
 * A version as a manifest: opened, signed by one of `trusted`, of this key and this vault. Throws the codes that `verdictOf` tells, and
 * the vault's.
 */
export async function openManifestVersion(
  from: RebuildVault,
  version: ListedVersion,
  identities: readonly string[],
  trusted: readonly string[],
): Promise<OpenedManifest> {
  const what = `${from.vault.name}: ${version.key}`;
  const parsed = parseKey(version.key);
  if (parsed?.type !== 'manifest') throw new CoffreError('E_FORMAT', `${what}: is no manifest's key`);
  const stored = await readVersion(from, version);
  const plaintext = await plaintextOf(stored, what, parsed.encrypted ? identities : 'none', from.signal);
  const signed = decodeManifest(plaintext, what);
  verifyManifest(signed, trusted, what);
  const { manifest } = signed;
  if (manifestKey(manifest.shop, manifest.snapshot, manifest.encryption !== 'none') !== version.key || manifest.vault !== from.vault.name) {
    throw new CoffreError('E_OBJECT_ALTERED', `${what}: is the manifest of ${manifest.shop} ${manifest.snapshot} in ${manifest.vault}`);
  }
  return { signed, sha256: sha256Of(stored) };
}

/** The same for a checkpoint of the state. */
export async function openCheckpointVersion(
  from: RebuildVault,
  version: ListedVersion,
  recovery: readonly string[],
  trusted: readonly string[],
): Promise<Checkpoint> {
  const what = `${from.vault.name}: ${version.key}`;
  const parsed = parseKey(version.key);
  if (parsed?.type !== 'state') throw new CoffreError('E_FORMAT', `${what}: is no checkpoint's key`);
  const plaintext = await plaintextOf(await readVersion(from, version), what, parsed.encrypted ? recovery : 'none', from.signal);
  const signed: SignedCheckpoint = decodeCheckpoint(plaintext, what);
  verifyCheckpoint(signed, trusted, what);
  const { checkpoint } = signed;
  if (stateKey(Temporal.Instant.from(checkpoint.time), parsed.encrypted) !== version.key || checkpoint.vault !== from.vault.name) {
    throw new CoffreError('E_OBJECT_ALTERED', `${what}: is the checkpoint of ${checkpoint.time} in ${checkpoint.vault}`);
  }
  return checkpoint;
}

/** Our own copy of a manifest's index, from the vault; null when it is there, else what `verdictOf` says. Throws what the vault throws. */
export async function copyIndex(
  { vault, clock, signal }: RebuildVault,
  stateDir: string,
  manifest: Manifest,
  identities: readonly string[],
): Promise<string | null> {
  const { index } = manifest;
  const target = indexCopyPath(stateDir, manifest.shop, manifest.snapshot);
  const plain = `${target}.plain`;
  await mkdir(dirname(target), { recursive: true, mode: 0o700 });
  const options = {
    what: `${vault.name}: ${index.key}`,
    expected: index,
    identities: manifest.encryption === 'none' ? ('none' as const) : identities,
    signal,
  };
  const fetch = async (): Promise<void> => {
    const stored = await vault.get(index.key, index.versionId, signal);
    await pipeline(openStream(stored, options), createWriteStream(plain, { mode: 0o600 }));
  };
  try {
    await retrying(clock, READ_RETRY, fetch, signal);
    await compressIndex(plain, target);
    return null;
  } catch (error) {
    const verdict = verdictOf(error, 'index');
    if (verdict === null) throw error;
    return verdict;
  } finally {
    await rm(plain, { force: true });
  }
}
