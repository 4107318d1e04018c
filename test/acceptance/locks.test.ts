import { join } from 'node:path';
import {
  DeleteObjectCommand,
  GetObjectRetentionCommand,
  HeadObjectCommand,
  PutObjectCommand,
  PutObjectRetentionCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { Temporal } from 'temporal-polyfill';
import { describe, expect, it } from 'vitest';
import { fromDate, systemClock, toDate } from '../../src/clock.ts';
import { type InventoryVersion, inventory } from '../servers/s3.ts';
import { makeWorld, type World } from '../world/world.ts';
import { writeTree } from './tree.ts';

type Mode = 'COMPLIANCE' | 'GOVERNANCE';

/** HTTP status of a request that must be refused; what it did when it was not. */
async function refusal(request: Promise<unknown>): Promise<number | string> {
  try {
    await request;
    return 'it was allowed';
  } catch (error) {
    return (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode ?? String(error);
  }
}

/** The store's own words are 403 (AWS, Ceph) or 400 (MinIO): refused, and not a failure of the store. */
const REFUSED = expect.toSatisfy((status) => status === 403 || status === 400, 'refused with 403 or 400');

class Attacker {
  readonly #client: S3Client;
  readonly #bucket: string;

  constructor(world: World) {
    this.#client = world.bucket.client;
    this.#bucket = world.bucket.name;
  }

  at(version: InventoryVersion) {
    return { Bucket: this.#bucket, Key: version.key, VersionId: version.versionId };
  }

  head(version: InventoryVersion) {
    return this.#client.send(new HeadObjectCommand(this.at(version)));
  }

  async lock(version: InventoryVersion): Promise<{ mode: string | undefined; untilMs: number }> {
    const { Retention } = await this.#client.send(new GetObjectRetentionCommand(this.at(version)));
    if (!Retention?.RetainUntilDate) throw new Error(`${version.key} has no retention`);
    return { mode: Retention.Mode, untilMs: fromDate(Retention.RetainUntilDate).epochMilliseconds };
  }

  delete(version: InventoryVersion, bypass = false): Promise<unknown> {
    return this.#client.send(new DeleteObjectCommand({ ...this.at(version), ...(bypass ? { BypassGovernanceRetention: true } : {}) }));
  }

  relock(version: InventoryVersion, Mode: Mode, untilMs: number, bypass = false): Promise<unknown> {
    return this.#client.send(
      new PutObjectRetentionCommand({
        ...this.at(version),
        Retention: { Mode, RetainUntilDate: toDate(Temporal.Instant.fromEpochMilliseconds(untilMs)) },
        ...(bypass ? { BypassGovernanceRetention: true } : {}),
      }),
    );
  }

  /** An unlocked object beside ours: who may delete its version is refused ours by the lock and by nothing else. */
  async deleteControl(key: string): Promise<void> {
    const { VersionId = '' } = await this.#client.send(new PutObjectCommand({ Bucket: this.#bucket, Key: key, Body: 'control' }));
    const control = { key, versionId: VersionId, sizeBytes: 7, isLatest: true, isDeleteMarker: false };
    await this.delete(control);
    expect(await refusal(this.head(control))).toBe(404);
  }
}

const kindOf = (key: string): string => /\/(segments|index|snapshots|keys)\//.exec(key)?.[1] ?? key;

/** Two backups, so that a reused and extended segment is among them; gives every version that the shop has in the store. */
async function backedUp(world: World, lockMode: Mode): Promise<readonly InventoryVersion[]> {
  const root = join(world.dir, 'shop');
  writeTree(root, { largeBytes: 70_000_000 });
  world.writeConfig({ files: { root }, lockMode });
  await world.ok(['backup', 'dupont']);
  writeTree(root, { directories: 1 });
  const second = await world.ok(['backup', 'dupont']);
  expect(second.json.snapshots[0].reusedSegments).toBeGreaterThan(0);
  const { versions } = await inventory(world.bucket, 'prod/dupont/');
  const kinds = new Map<string, number>();
  for (const version of versions) kinds.set(kindOf(version.key), (kinds.get(kindOf(version.key)) ?? 0) + 1);
  expect(Object.fromEntries(kinds)).toMatchObject({ index: 2, snapshots: 2, keys: 1 });
  return versions;
}

describe('a snapshot in a vault under COMPLIANCE', () => {
  it('refuses deletion and shortening for every version, single PUT and multipart, also with bypass; a control object deletes', async () => {
    await using world = await makeWorld();
    const versions = await backedUp(world, 'COMPLIANCE');
    const attacker = new Attacker(world);
    const promisedMs = systemClock.nowMs() + (14 * 24 - 1) * 3_600_000;
    let multipart = 0;
    for (const version of versions) {
      const before = await attacker.lock(version);
      const head = await attacker.head(version);
      if (/-\d+"?$/.test(head.ETag ?? '')) multipart++;
      expect(before.mode, version.key).toBe('COMPLIANCE');
      expect(before.untilMs, version.key).toBeGreaterThan(promisedMs);
      const soonMs = systemClock.nowMs() + 60_000;
      for (const bypass of [false, true]) {
        expect(await refusal(attacker.delete(version, bypass)), `delete ${version.key}`).toEqual(REFUSED);
        expect(await refusal(attacker.relock(version, 'COMPLIANCE', soonMs, bypass)), `shorten ${version.key}`).toEqual(REFUSED);
        expect(
          await refusal(attacker.relock(version, 'COMPLIANCE', before.untilMs - 1000, bypass)),
          `shorten ${version.key} by a second`,
        ).toEqual(REFUSED);
        expect(await refusal(attacker.relock(version, 'GOVERNANCE', before.untilMs, bypass)), `weaken ${version.key}`).toEqual(REFUSED);
      }
      expect(await attacker.lock(version), version.key).toEqual(before);
      expect(await attacker.head(version)).toMatchObject({ ETag: head.ETag, ContentLength: version.sizeBytes });
    }
    expect(multipart, 'objects that came as a multipart upload').toBeGreaterThan(0);
    expect(versions.length - multipart, 'objects that came in one PUT').toBeGreaterThan(0);
    await attacker.deleteControl(`prod/dupont/segments/${'0'.repeat(26)}.tar.zst.age`);
    expect((await inventory(world.bucket, 'prod/dupont/')).versions).toEqual(versions);
    expect((await world.ok(['verify', 'dupont', '--read-data'])).json.ok).toBe(true);
  }, 180_000);
});

describe('a snapshot in a vault under GOVERNANCE', () => {
  it('refuses deletion and shortening for every version to who does not ask for bypass', async () => {
    await using world = await makeWorld();
    const versions = await backedUp(world, 'GOVERNANCE');
    const attacker = new Attacker(world);
    for (const version of versions) {
      const before = await attacker.lock(version);
      expect(before.mode, version.key).toBe('GOVERNANCE');
      expect(await refusal(attacker.delete(version)), `delete ${version.key}`).toEqual(REFUSED);
      const earlierMs = before.untilMs - 3_600_000;
      expect(await refusal(attacker.relock(version, 'GOVERNANCE', earlierMs)), `shorten ${version.key}`).toEqual(REFUSED);
      expect(await attacker.lock(version), version.key).toEqual(before);
    }
    await attacker.deleteControl(`prod/dupont/segments/${'0'.repeat(26)}.tar.zst.age`);
    expect((await inventory(world.bucket, 'prod/dupont/')).versions).toEqual(versions);
  }, 180_000);
});
