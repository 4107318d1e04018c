// What somebody who can write into a vault, and into the catalog beside it, can do to what is stored there.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { Temporal } from 'temporal-polyfill';
import { toDate } from '../../src/clock.ts';
import type { Manifest, SignedManifest } from '../../src/segment/manifest-types.ts';
import type { World } from '../world/world.ts';

/** A row of the catalog's `objects`. */
export interface StoredRow {
  readonly id: number;
  readonly vault: string;
  readonly key: string;
  readonly kind: 'segment' | 'index' | 'manifest';
  readonly versionId: string;
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly retainUntil: number;
}

/** Reads or changes the catalog behind coffre's back. */
export function inCatalog<T>(world: World, work: (database: DatabaseSync) => T): T {
  const database = new DatabaseSync(join(world.stateDir, 'catalog.db'));
  try {
    return work(database);
  } finally {
    database.close();
  }
}

/** The objects of one snapshot in one vault: segments in restore order, index, manifest. */
export function objectsOf(world: World, snapshot: string, vault: string): StoredRow[] {
  return inCatalog(
    world,
    (database) =>
      database
        .prepare(
          `select o.* from objects o left join snapshotSegments s on s.segmentId = o.refId and s.snapshotId = ?
         where o.vault = ? and o.state = 'stored' and (s.seq is not null or o.refId = ?) and o.kind in ('segment', 'index', 'manifest')
         order by s.seq is null, s.seq, o.kind`,
        )
        .all(snapshot, vault, snapshot) as unknown as StoredRow[],
  );
}

/** What a catalog rebuilt from an attacked vault would believe. */
export function rebuildCatalog(world: World, row: StoredRow, versionId: string, content: Buffer): void {
  inCatalog(world, (database) =>
    database
      .prepare('update objects set versionId = ?, sizeBytes = ?, sha256 = ? where id = ?')
      .run(versionId, content.length, createHash('sha256').update(content).digest('hex'), row.id),
  );
}

/** Puts the catalog's row back. */
export function restoreRow(world: World, row: StoredRow): void {
  inCatalog(world, (database) =>
    database
      .prepare('update objects set versionId = ?, sizeBytes = ?, sha256 = ? where id = ?')
      .run(row.versionId, row.sizeBytes, row.sha256, row.id),
  );
}

export const flipped = (content: Buffer, at = Math.floor(content.length / 2)): Buffer => {
  const copy = Buffer.from(content);
  copy[at] = (copy[at] as number) ^ 1;
  return copy;
};

/** An object in the filesystem vault, as a file. */
export class StoredFile {
  readonly path: string;
  readonly #lockPath: string;
  readonly #lock: string;
  readonly content: Buffer;
  readonly #world: World;
  readonly row: StoredRow;

  constructor(world: World, row: StoredRow) {
    this.#world = world;
    this.row = row;
    this.path = join(world.nasPath, row.key);
    this.#lockPath = join(world.nasPath, '.locks', `${row.key}.json`);
    this.#lock = readFileSync(this.#lockPath, 'utf8');
    this.content = readFileSync(this.path);
  }

  /** Other content under the old time; with the old size nothing about the file tells. Returns what its version id is then. */
  replace(content: Buffer): string {
    chmodSync(this.path, 0o600);
    const reference = `${this.path}.reference`;
    execFileSync('cp', ['--preserve=timestamps', this.path, reference]);
    writeFileSync(this.path, content);
    execFileSync('touch', ['-r', reference, this.path]);
    execFileSync('rm', [reference]);
    const { mtimeNs, size } = statSync(this.path, { bigint: true });
    const versionId = `${mtimeNs}-${size}`;
    chmodSync(this.#lockPath, 0o600);
    writeFileSync(this.#lockPath, JSON.stringify({ ...JSON.parse(this.#lock), versionId }));
    return versionId;
  }

  undo(): void {
    this.replace(this.content);
    writeFileSync(this.#lockPath, this.#lock);
    restoreRow(this.#world, this.row);
  }
}

/**
 * Deletes our version with the bypass that GOVERNANCE allows and puts another content under the key, locked like ours.
 * Returns its version id. What is gone from a store cannot be put back.
 */
export async function replaceVersion(world: World, row: StoredRow, content: Buffer): Promise<string> {
  const { client, name: Bucket } = world.bucket;
  const Key = `prod/${row.key}`;
  await client.send(new DeleteObjectCommand({ Bucket, Key, VersionId: row.versionId, BypassGovernanceRetention: true }));
  const { VersionId = '' } = await client.send(
    new PutObjectCommand({
      Bucket,
      Key,
      Body: content,
      ContentMD5: createHash('md5').update(content).digest('base64'),
      ObjectLockMode: 'GOVERNANCE',
      ObjectLockRetainUntilDate: toDate(Temporal.Instant.fromEpochMilliseconds(row.retainUntil)),
    }),
  );
  return VersionId;
}

/** The plaintext of a sealed object, by `age` and `zstd` alone. */
export function unseal(world: World, stored: Buffer): Buffer {
  const compressed = execFileSync('age', ['-d', '-i', join(world.keyDir, 'identities/dupont.key')], { input: stored, maxBuffer: 1 << 30 });
  return execFileSync('zstd', ['-dc'], { input: compressed, maxBuffer: 1 << 30 });
}

/** Sealed as ours are: anybody who has seen a manifest knows the recipient. */
export function reseal(world: World, plaintext: Buffer): Buffer {
  const recipient = /age1\S+/.exec(readFileSync(join(world.keyDir, 'dupont.pub'), 'utf8'))?.[0] ?? '';
  const compressed = execFileSync('zstd', ['-c'], { input: plaintext, maxBuffer: 1 << 30 });
  return execFileSync('age', ['-r', recipient], { input: compressed, maxBuffer: 1 << 30 });
}

export function readSigned(world: World, stored: Buffer): SignedManifest {
  return JSON.parse(unseal(world, stored).toString('utf8')) as SignedManifest;
}

/** A manifest that tells another story and is just as valid in form. */
export function lying(manifest: Manifest): Manifest {
  const [first, ...rest] = manifest.segments;
  if (!first) throw new Error('a manifest without segments');
  return { ...manifest, counts: { ...manifest.counts, files: 1 }, segments: [{ ...first, plainBytes: first.plainBytes + 1 }, ...rest] };
}
